"""A run table: one row a training run, its columns named, checked and completed through C = 6ND."""

from bayescale.runs.filters import select as select
from bayescale.runs.names import ALIASES as ALIASES
from bayescale.runs.names import COLUMNS as COLUMNS
from bayescale.runs.names import LABELS as LABELS
from bayescale.runs.notes import WARNING as WARNING
from bayescale.runs.observations import SCHEDULE as SCHEDULE
from bayescale.runs.observations import Observations as Observations
from bayescale.runs.observations import observations as observations
from bayescale.runs.reading import Source as Source
from bayescale.runs.reading import table_of as table_of
from bayescale.runs.tables import indexed as indexed
from bayescale.runs.tables import read_runs as read_runs
