#!/bin/sh
# Names all prerequisites that this machine lacks, each with the command that installs it.
python=$1
missing=""
need() { missing="$missing\n  $1"; }

if ! command -v "$python" > /dev/null; then
    need "$python: apt-get install python3.11 python3.11-venv (another name: make PYTHON=/path/to/python3.11 …)"
elif ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
    need "Python 3.11, found $("$python" --version): make PYTHON=/path/to/python3.11 …"
elif ! "$python" -c 'import ensurepip, venv' 2> /dev/null; then
    need "Python's venv module: apt-get install python3.11-venv"
fi
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
if ! command -v "$java" > /dev/null; then
    need "Java 17 or newer: apt-get install openjdk-17-jre-headless"
elif [ "$("$java" -XshowSettings:properties -version 2>&1 | sed -n 's/.*java.specification.version = \([0-9]*\).*/\1/p')" -lt 17 ]; then
    need "Java 17 or newer, found an older one: apt-get install openjdk-17-jre-headless, or set JAVA_HOME"
fi
command -v mvn > /dev/null || need "Maven: apt-get install maven"

if [ -n "$missing" ]; then
    printf 'error: this machine lacks%b\n' "$missing" >&2
    exit 1
fi
