"""The apps that simulated users choose from.

Out  one catalogue: app 17 = ("com.quietharbor.leaf", Category.LENDING)

An app id says nothing about the category: only the way in which people use the app shows it.
"""

from dataclasses import dataclass
from enum import IntEnum
from itertools import product

import numpy as np
from numpy.typing import NDArray


class Category(IntEnum):
    """Purpose of an app, hidden from everything downstream of the simulator."""

    LENDING = 0
    GAMBLING = 1
    FINANCE = 2
    SHOPPING = 3
    SOCIAL = 4
    GAMES = 5
    UTILITIES = 6
    MEDIA = 7


# Share of an average user's installs, by category.
INSTALL_SHARES = np.array([0.17, 0.17, 0.12, 0.11, 0.12, 0.12, 0.12, 0.07])

# Popularity of a category's k-th app is k ** -exponent: the first has two fifths of its category's installs.
POPULARITY_EXPONENT = 1.5

_FIRST_WORDS = (
    "amber azure bold brisk calm cedar clear coral crisp dawn deep early even fair fern fleet gentle glad "
    "golden grand green happy hazel high ivory jade keen kind late light lilac little lucky maple mellow misty "
    "neat noble north olive open pale pine plain prime quick quiet rapid rosy royal silver smooth soft solar "
    "steady sunny swift tidy true velvet vivid warm west wild"
)
_SECOND_WORDS = (
    "acorn anchor arrow badger beacon birch bloom bridge brook canyon cloud comet cove crane dune eagle ember "
    "falcon field finch forest fox garden glade grove harbor hawk heron hill island kite lake lantern lark leaf "
    "lynx meadow moon moth oak orbit otter owl pebble prairie raven reef ridge river robin sail shore sparrow "
    "spring star stone stream summit swan tide trail valley wave willow wren"
)
_LAST_WORDS = "app core go hub lab lite me one plus pro"


@dataclass(frozen=True)
class AppCatalogue:
    """All apps, ordered by category. Elsewhere an app is an index into these arrays."""

    app_ids: NDArray[np.str_]  # (apps,)
    categories: NDArray[np.int64]  # (apps,)
    # (apps,): from c to c + 1 over the apps of category c, so that one search can draw for all categories.
    cumulative_popularity: NDArray[np.float64]

    def draw(self, categories: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Pick one app of each given category, by popularity: `(installs,)` in, `(installs,)` out."""
        return np.searchsorted(self.cumulative_popularity, categories + rng.random(len(categories)), "right")


def make_catalogue(num_apps: int, rng: np.random.Generator) -> AppCatalogue:
    """Name `num_apps` apps and spread them evenly over the categories.

    Raises:
        ValueError: fewer apps than categories.
    """
    if num_apps < len(Category):
        raise ValueError(f"apps must be at least {len(Category)}, one for each category; got {num_apps}")
    categories = np.sort(np.arange(num_apps) % len(Category))
    cumulative = np.concatenate(
        [category + _cumulative_popularity(int(np.sum(categories == category))) for category in Category]
    )
    return AppCatalogue(_neutral_names(num_apps, rng), categories, cumulative)


def _cumulative_popularity(num_apps: int) -> NDArray[np.float64]:
    popularity = np.arange(1, num_apps + 1) ** -POPULARITY_EXPONENT
    cumulative: NDArray[np.float64] = np.cumsum(popularity) / popularity.sum()
    return np.minimum(cumulative, 1.0)  # a rounding error above 1 would reach into the next category


def _neutral_names(num_apps: int, rng: np.random.Generator) -> NDArray[np.str_]:
    """Package names in random order, numbered once the words are used up."""
    names = [
        f"com.{a}{b}.{c}" for a, b, c in product(*map(str.split, (_FIRST_WORDS, _SECOND_WORDS, _LAST_WORDS)))
    ]
    rounds = -(-num_apps // len(names))
    numbered = [name + (str(n) if n else "") for n in range(rounds) for name in names]
    return rng.permutation(np.array(numbered))[:num_apps]
