"""The numbers that the engine `segments` is tuned by, each with what it was chosen by.

Measured on one core at 512 dimensions unless said otherwise; `hard`, `easy` and `pictures` are the sets of `tenshot
bench index`. Whoever changes one runs `tenshot bench index`, `tenshot bench growing` and the long oracle
(`pytest tests/index/test_oracle.py --long`). When a collection changes its ways is `Sizes`, in `settings.py`.
"""

# Which rows are read, and which codes are scanned.

READ = 32
"""Reading a row that lies anywhere costs as much as scanning so many codes in lists: at a million rows one in 50 is
cheaper read than scanned for."""
GATHER = 4_000_000
"""Up to so many components the rows that a filter leaves are read one by one: 7,812 rows of 512. With fewer, between 6
and 8 % of `easy` the tenth neighbour lay outside its cluster, and recall fell below 0.95."""
CHEAPER = 4
"""Where codes would propose this part of the rows, looking at all rows is no more work."""
SCANNED_SCORES = 1 << 23
"""Scores that a scan holds at once: 32 MB."""

# Queries in doubt.

SURER = 4, 4
"""Times the probes and the candidates, for whoever is in doubt. Where that finds nothing better it is enough: on `easy`
one query in ten is in doubt without need, and all lists for each of them took three times as long on the average."""
THOROUGH = 1 << 16, 16
"""The same for whoever is still in doubt: all lists. Without it rows of rank three had a recall below 0.95 for 11 of 15
kinds of queries unlike the rows."""
ROOM = 3.0
"""What was left out is to be so many typical errors of estimates below the k-th score: hardly any is larger."""
SCAN_CODES, SCAN_CANDIDATE = 100, 2500
"""All lists are worth it where a scan reads more components: a row's codes take as long as 100, a candidate 2,500."""
AT_ONCE = 64
"""Queries that go through all lists together, since their candidates take memory."""
TENTH = 10
"""The neighbour that tells whether a query is unlike the rows. Clusters are often smaller than a larger k."""
CHECKED, LOST = 32, 0.85
"""So many of the rows that came later are asked for their ten neighbours. Where they find less than this share of them,
they are unlike the rows that the search was calibrated on: that is not the sample's luck."""

# Calibration.

TARGET = 0.97
"""Of the true neighbours, the share that has to be among the candidates: 0.95, and a margin for the sample's luck."""
QUERIES, TIMED = 128, 32
"""Rows that calibration asks for, and those of them that each choice is timed by."""
WIDTHS = 10, 100
"""The k that are measured; between and beyond them probes and candidates follow a power law."""
RANKS = 10, 30, 100, 300, 1000
"""The neighbours whose usual scores are known; between them they follow the logarithm of the rank."""
STEPS = (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20), (24, 28, 32, 40, 48, 64, 96, 128)
"""Candidates for each of k. The second ones are tried where no number of probes suffices with the first."""
PROBES = 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256
"""Numbers of lists that are tried."""
PATIENCE = 3
"""Numbers of probes tried after the first that suffices: more probes may need fewer candidates."""
MOST_CANDIDATES, LEAST_GAIN = 8192, 8
"""Candidates are at most so many, and this part of the rows; who needs more is better off with the rows themselves."""
LEAST_GROWTH = 10**0.25
"""Beyond the measured k probes grow by so much for each ten times as many neighbours at least."""
NEARER, FAR = 0.1, 0.02
"""Shares of the sample that were farther from their neighbours; see `SearchParameters.usual`. Queries that are a little
farther than these have the recall of all others, and need not be asked again."""
POOR, MINORITY = 0.9, 5
"""At least so many queries that find less than this, the farthest or the nearest of all, are a minority that the mean
hides: one row in 20 that lay elsewhere had a recall of 0.25. Fewer are the sample's luck."""

# Codes.

LISTS_TRAINING, ROUNDS, CODE_TRAINING = 24, 6, 8192
"""Rows that a centroid is trained on, how often, and rows that codes are trained on: twice the rows and some more
rounds find no better ones."""
LISTS_SCAN_BLOCK = 32
"""Rows that a scan looks at together: FAISS's own default."""
MOST_LISTS = 0.25
"""The share of the lists from which all codes are scanned rather than lists chosen."""
AS_EXPECTED = 0.4
"""Where a filter leaves less than this part of what it leaves elsewhere, there is a hole, or some small lists."""
EVEN = 0.25
"""A filter leaves as many everywhere if what it leaves of the lists varies by no more than this part of its square.
Then few lists are enough: 100,000 rows are asked in half the time."""
FLAT_TRAINING, FLAT_QUERY_BITS = 50_000, 4
"""Rows that flat codes are trained on, and bits that a query's components are rounded to."""
FLAT_RANK = 100
"""A filter makes a search of flat codes as careful as one for so many neighbours at most."""

# Merging and snapshots.

MERGE_SHARE, DEAD_SHARE = 32, 0.2
"""The other segments go into the first from this part of it on; dead rows are cleared away from this share on."""
SAVE_SHARE = 50
"""A snapshot is written when so many-th of the rows have changed."""
