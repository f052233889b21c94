"""The few constants of the telescope's data products, with their source.

Breakthrough Listen's high-frequency-resolution product at Green Bank:
Lebofsky et al. 2019 (arXiv:1906.07391), table 2.
"""

from __future__ import annotations

FINE_CHANNEL_HZ = 2.7939677238464355  #: width of one fine channel [Hz]
SPECTRUM_S = 18.253611008  #: length of one spectrum [s]
COARSE_CHANNEL_HZ = 187.5e6 / 64  #: one coarse channel, 2.9296875 MHz [Hz]
FINE_PER_COARSE = 2**20  #: fine channels in a coarse channel of that product
NOISE_DOF = 204  #: chi-square degrees of freedom of one pixel: 51 spectra x 2 polarisations x 2

SNIPPET_TIMES = 16  #: rows of a snippet (Ma et al. 2023, section 2.4)
SNIPPET_CHANNELS = 256  #: columns of a snippet: 715 Hz

HZ_PER_MHZ = 1e6
DAY_S = 86_400.0
