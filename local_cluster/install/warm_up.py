"""A Spark program that loads the classes that jobs load: SQL, windows, an Iceberg table written and read.

In   a catalog `lake` in a scratch folder (class_archive.py)
Out  nothing: only the loaded classes matter
"""

from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F

spark = SparkSession.builder.appName("warm_up").getOrCreate()
spark.sql("CREATE NAMESPACE lake.risk")
spark.sql(
    "CREATE TABLE lake.risk.sessions (user_id STRING, gaps BIGINT, events ARRAY<BIGINT>, ds DATE) "
    "USING iceberg PARTITIONED BY (ds)"
)
day = F.lit("2026-01-31").cast("date")
by_user = Window.partitionBy("user_id").orderBy("id")
events = spark.range(1000).withColumn("user_id", F.concat(F.lit("u"), F.col("id") % 10))
sessions = (
    events.withColumn("gap", F.col("id") - F.lag("id").over(by_user))
    .groupBy("user_id")
    .agg(F.sum("gap").alias("gaps"), F.sort_array(F.collect_list("id")).alias("events"))
)
sessions.withColumn("ds", day).writeTo("lake.risk.sessions").overwrite(F.col("ds") == day)
spark.table("lake.risk.sessions").where(F.col("gaps") > 0).count()
spark.stop()
