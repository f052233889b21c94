"""Arrays to figures: plotly only, no files, no Streamlit.

Colours are safe for colour-blind eyes and hold on light and dark grounds: categories
from Okabe and Ito (2008), power and other ordered values in viridis. Frequency runs
to the right in every figure, time runs down in every waterfall.
"""

from __future__ import annotations

from rrs_core.figures.colours import Colouring, colour_by, colour_table, plot_text
from rrs_core.figures.maps import map_places, map_scatter
from rrs_core.figures.spectra import frequency_histogram, occupancy
from rrs_core.figures.waterfalls import Scale, thumbnails, tile_pixels, waterfall

__all__ = [
    "Colouring",
    "Scale",
    "colour_by",
    "colour_table",
    "frequency_histogram",
    "map_places",
    "map_scatter",
    "occupancy",
    "plot_text",
    "thumbnails",
    "tile_pixels",
    "waterfall",
]
