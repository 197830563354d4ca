"""The documents of a metaphased daemon. Written by generate.py from its schemas; do not edit."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from metaphased._base import Model
from pydantic import ConfigDict, Field


class Acknowledged(Model):
    """That a person has seen an alarm."""

    by: str
    """Who."""
    time: str
    """When, RFC 3339 in UTC."""


class AlarmMessage(Model):
    """The `alarm/1` message."""

    by: str | None = None
    """Who acknowledged."""
    case: str
    """Id of the case."""
    level_gy: float
    """Level in Gy."""
    lower_limit_gy: float | None = None
    """Lower limit of the dose in Gy when it happened, where there was one."""
    notice: str
    """Research use only."""
    reason: str
    """Why, in words."""
    reason_code: str | None = None
    """The code of these words: `alarm_lower_limit`, `alarm_no_dose` or `alarm_acknowledged`; the values are `lower_limit_gy`, `level_gy` and `by`."""
    schema_: Annotated[str, Field(alias='schema')]
    """`alarm/1`."""
    state: Literal['raised', 'acknowledged', 'cleared']
    """What happened."""
    station: str
    """Station."""
    time: str
    """When, RFC 3339 in UTC."""


class Bounded(Model):
    """An estimate with its limits. A limit that the data or the curve do not give is none."""

    high: float | None = None
    """Upper limit."""
    low: float | None = None
    """Lower limit."""
    value: float
    """The estimate."""


class CaseAction(Model):
    """Body of `cases/{id}/close`, `cases/{id}/reopen` and `cases/{id}/erase`."""

    model_config = ConfigDict(
        extra='forbid',
    )
    by: str | None = None
    """Who asks for it; may be left out by a person who is logged in."""


class CaseCells(Model):
    """Numbers of cells of a case."""

    abnormal: int
    """Of these: with a finding, clonal or not."""
    assessable: int
    """With a karyotype."""
    colonies: int | None = None
    """Colonies that the cells with a karyotype come from, in an in-situ culture; cells that name none are one together."""
    cut_by_frame: int = 0
    """Of these: cut by the edge of the frame."""
    excluded: int | None = None
    """Excluded by a person, and not counted above."""
    normal: int
    """Of these: with nothing unusual."""
    not_assessable: int
    """Without."""
    repeats: int
    """Seen in another, overlapping field too, which counts: the one that holds the whole cell, else the first."""
    reviewed: int
    """Looked at by a person, excluded ones included."""
    seen: int
    """All, repeats included."""


class CellChange(Model):
    """A review of a cell."""

    by: str
    """Who."""
    change: str
    """What, in words."""
    revision: int | None = None
    """Revision that it made."""
    time: str
    """When, RFC 3339 in UTC."""


class CellReviews(Model):
    """The audit of a cell."""

    reviews: list[CellChange]
    """Oldest first."""


class CellsNeeded(Model):
    """Cells for limits that lie `half_width_gy` from the estimate."""

    cells: int | None = None
    """Cells in all, about; none where the curve's own error is wider, or there is no dose yet."""
    half_width_gy: float
    """Half the width that is asked for, in Gy."""


class ChanceFinding(Model):
    """A finding that too few cells show."""

    cells: list[UUID]
    """Cells that show it."""
    iscn: str
    """In ISCN form."""
    needed: int
    """Cells that would make it a clone; of an in-situ culture in two colonies at least."""
    one_colony: bool | None = None
    """True when enough cells show it, but all of one colony."""


class Clone(Model):
    """A cell line of a case."""

    cells: int
    """Number of its cells."""
    iscn: str
    """Its karyotype."""
    members: list[UUID]
    """Their ids."""
    normal: bool
    """True for the line without finding."""
    syndromes: list[str] | None = None
    """Common names that go with it: labels, no diagnosis."""


class Coded(Model):
    """What a sentence says, without the sentence."""

    code: str
    """What it says."""
    values: dict[str, str] | None = None
    """The values in it."""


class Comment(Model):
    """What a person noted on a cell; it changes nothing else."""

    by: str
    """Who."""
    text: str
    """What, in that person's words."""
    time: str
    """When, RFC 3339 in UTC."""


class Corrections(Model):
    """What people corrected in the cells that they have looked at, between the machine's record and theirs."""

    cells: int
    """Karyotyped cells that a person has confirmed or corrected."""
    corrections: int
    """Fewest corrections that lead from the machine's records to theirs: boxes added and deleted, classes changed."""
    mean: float | None = None
    """Corrections a cell; none without a cell."""
    untouched: int
    """Cells that needed none."""


class Counts(Model):
    """Counts over a cell."""

    abnormal: int
    """Chromosomes that are part of a finding."""
    damaged: int
    """Chromosomes with a damage candidate."""
    detected: int
    """Chromosomes found."""
    normal: int
    """Chromosomes that fit their class."""
    unclear: int
    """Chromosomes that could not be assessed."""
    undamaged: int
    """Chromosomes assessed and without damage."""


class Dispersion(Model):
    """How the aberrations spread over the cells, against Poisson (IAEA 2011, p. 48; Savage 1970)."""

    index: float | None = None
    """Variance over mean: 1 for Poisson."""
    u: float | None = None
    """Normal deviate of the index."""


class DoseCells(Model):
    """Numbers of cells of a case."""

    awaiting_review: int
    """Counted with dicentrics that a machine called and no person has looked at."""
    counted: int
    """That count towards the dose."""
    excluded: int | None = None
    """Not counted: excluded by a person."""
    incomplete: int
    """Not counted: not as many centromeres as a complete cell has."""
    not_scored: int | None = None
    """Not counted: neither a machine nor a person has scored them."""
    not_selected: int | None = None
    """Not counted: left out by the scorer's selection of cells."""
    quickscan: int | None = None
    """Counted by QuickScan: complete by their look."""
    reviewed: int
    """Counted, and scored by a person."""
    second_division: int
    """Not counted: in a later division."""
    seen: int
    """All that hold an aberration record."""
    unclear: int
    """Not counted: an aberration is unclear and no person has reviewed it."""


class Excluded(Model):
    """The mosaicism that the normal cells exclude."""

    confidence: float
    """With this confidence."""
    share: float
    """Smallest share of a second cell line that is excluded, 0 to 1."""


class Exclusion(Model):
    """A cell that a person has excluded: it stays in the store and on the page, and counts in no case."""

    by: str
    """Who excluded it."""
    reason: str
    """Why, in that person's words."""
    time: str
    """When, RFC 3339 in UTC."""


class Exposure(Model):
    """How the light of a frame fits the range of the camera. Shares run from 0 to 1."""

    black: float
    """Share of pixels at zero."""
    high: float
    """Grey value that 99 % of the pixels do not exceed, as a share of the range."""
    low: float
    """Grey value that 1 % of the pixels do not exceed, as a share of the range."""
    median: float
    """Median grey value, as a share of the range."""
    saturated: float
    """Share of pixels at the top of the range: their detail is lost."""


class FrameEdge(Model):
    """How a spread lies at the edge of its frame: whether chromosomes may lie outside."""

    cut: int
    """Chromosomes that the edge cuts."""
    outline: float
    """Share of the spread's outline (the convex hull of its chromosomes' boxes) that lies on the frame's edge, 0 to 1."""
    pieces: int
    """Beside them, dark pieces on the edge that may be the rest of a chromosome."""


class HostFacts(Model):
    """The machine, in `birth/1`."""

    cores: int
    """Processor cores."""
    platform: str
    """Operating system and architecture."""


class Input(Model):
    """The counts as they were given."""

    assay: Literal[
        'dicentrics',
        'dicentrics+rings',
        'translocations',
        'micronuclei',
        'acentrics',
        'not stated',
    ]
    """What was counted."""
    background: float | None = None
    """Aberrations expected without the exposure; none where they are not given."""
    cells: int
    """Cells scored."""
    counts: list[int] | None = None
    """Cells with 0, 1, 2, ... aberrations, where known."""
    dicentrics: int
    """Aberrations in them."""
    genome_factor: float
    """Share of the genome in which aberrations are seen."""
    protraction: float
    """Factor on beta for an exposure that took time."""
    remaining: float | None = None
    """Share of the aberrations left at sampling; none where it is not given."""


class Leftover(Model):
    """Material as dark and as thick as chromosomes that no outline holds: a chromosome that was not found, or dirt."""

    largest: float
    """The largest connected piece, in areas of the cell's median chromosome."""
    share: float
    """Its share in all dark material of the cell's region, 0 to 1."""


class LimitsFound(Model):
    """Smallest counts that mean something at this number of cells."""

    decision: int
    """Decision threshold: largest count that is not above the background significantly."""
    decision_gy: float | None = None
    """Dose of one more than the decision threshold, in Gy."""
    detection: float
    """Detection limit: expected count that is missed with probability beta."""
    detection_gy: float | None = None
    """Dose of the detection limit, in Gy."""
    exceeded: bool
    """Whether the sample is above the threshold."""


class ModelFacts(Model):
    """A model in use, in `birth/1`."""

    name: str
    """Name of its folder."""
    sha256: str
    """SHA-256 of the file in use."""
    task: str
    """Task it serves."""
    version: str
    """Version from model.toml."""


class Outline(Model):
    """The outline of one chromosome. Where two cross, both outlines hold the crossing."""

    rings: list[list[list[float]]]
    """
    Closed lines of corners `[x, y]` in pixels of the frame, to a tenth. A pixel belongs to the chromosome when its middle lies
    inside an odd number of them: the first goes around it, others are its holes.
    """
    score: float
    """How much of it and of the chromosome they are expected to share (IoU), 0 to 1."""
    source: Literal['network', 'segmentation', 'person']
    """Who drew it."""


class Problem(Model):
    """What went wrong with a request (RFC 9457). `type` is left out, which means `about:blank`: the status says the kind."""

    detail: str
    """What was found, and what would be right."""
    status: int
    """The HTTP status."""
    title: str
    """The status in words."""


class Quality(Model):
    """Scores of triage for the frame; each from 0 to 1, higher is better."""

    focus: float
    """Sharpness."""
    metaphase: float
    """How sure triage is that there is a metaphase."""
    spread: float
    """How well the chromosomes are spread."""


class Ranked(Model):
    """Where a cell stands among the cells of its case, of which the best count."""

    best: int
    """So many of the case count, and what is as good as the last of them."""
    distance: float
    """How far it is from a whole cell; 0 is best."""


class RejectedFile(Model):
    """A file that gave no cell."""

    file: str
    """Its path within the source's folder, with the page where it holds several."""
    reason: str | None = None
    """Why, in words."""
    source: str
    """Source that read it."""
    time: str
    """When, RFC 3339 in UTC."""


class RejectedMessage(Model):
    """The `rejected/1` message: a file, trigger or pushed frame that gave no cell."""

    case: str | None = None
    """Case it would have belonged to."""
    file: str | None = None
    """File, relative to the source's folder, with its page when it holds several."""
    frame: int | None = None
    """Number of the frame within its source, where it became one."""
    id: UUID
    """Identifies the message: a second copy has the same id. UUID version 7."""
    notice: str
    """Research use only."""
    reason: str
    """Stable word for the reason: `unreadable`, `no_metaphase`, `out_of_focus` ..."""
    schema_: Annotated[str, Field(alias='schema')]
    """`rejected/1`."""
    slide: str | None = None
    """Slide it would have belonged to."""
    source: str
    """Source (camera or folder)."""
    station: str
    """Station."""
    text: str
    """The reason in words."""
    time: str
    """When, RFC 3339 in UTC."""
    trigger: str | None = None
    """The scanner's own event id, echoed."""


class RejectedPage(Model):
    """Files that gave no cell."""

    next: str | None = None
    """What to give as `before` for the next page; none: this was the last."""
    rejected: list[RejectedFile]
    """The latest first."""


class ResultMessage(Model):
    """The `result/1` message."""

    data: Any | None = None
    """What it gave."""
    error: str | None = None
    """Why not."""
    id: str | None = None
    """The command's own id, echoed."""
    name: str
    """Name of the command."""
    ok: bool
    """Whether it was done."""
    schema_: Annotated[str, Field(alias='schema')]
    """`result/1`."""


class Review(Model):
    """A person's correction of a cell: who, when, what before, what after."""

    by: str
    """Who reviewed."""
    change: str
    """What changed, in words."""
    time: str
    """When, RFC 3339 in UTC."""


class ClassChange(Model):
    """A chromosome belongs to another class (none: it is no single chromosome)."""

    model_config = ConfigDict(
        extra='forbid',
    )
    action: Literal['class']
    class_: Annotated[str | None, Field(alias='class')] = None
    """The right class."""
    index: int
    """Index of the chromosome."""


class DamageChange(Model):
    """The damage of a chromosome is another one; accepts or refuses a called dicentric."""

    model_config = ConfigDict(
        extra='forbid',
    )
    action: Literal['damage']
    damage: Literal[
        'none', 'break', 'gap', 'exchange', 'dicentric', 'ring', 'fragment', 'other'
    ]
    """The right damage."""
    index: int
    """Index of the chromosome."""


class PieceChange(Model):
    """What a piece is in the dicentric assay, as a person saw it."""

    model_config = ConfigDict(
        extra='forbid',
    )
    action: Literal['piece']
    index: int
    """Index of the chromosome."""
    kind: Literal[
        'monocentric',
        'dicentric',
        'tricentric',
        'ring',
        'fragment',
        'two_monocentrics',
        'unclear',
    ]
    """What it is."""


class IscnChange(Model):
    """The karyotype of the cell, written by a person. The verdict follows from it."""

    model_config = ConfigDict(
        extra='forbid',
    )
    action: Literal['iscn']
    iscn: str
    """One cell line in ISCN form, without a fault that makes it unreadable or its count wrong."""


class ExcludeChange(Model):
    """The cell counts in no case, for a reason; none takes an exclusion back."""

    model_config = ConfigDict(
        extra='forbid',
    )
    action: Literal['exclude']
    reason: str | None = None
    """Why."""


class ConfirmChange(Model):
    """The cell is right as it stands."""

    model_config = ConfigDict(
        extra='forbid',
    )
    action: Literal['confirm']


class CommentChange(Model):
    """A note, which changes nothing else."""

    model_config = ConfigDict(
        extra='forbid',
    )
    action: Literal['comment']
    text: str
    """What, in words."""


class StatusChange(Model):
    """How a chromosome lies among its neighbours; `crossing`: two lie on one another."""

    model_config = ConfigDict(
        extra='forbid',
    )
    action: Literal['status']
    index: int
    """Index of the chromosome."""
    status: Literal['single', 'touching', 'crossing', 'unclear']
    """The right status."""


class TurnChange(Model):
    """A chromosome is turned in the karyogram."""

    model_config = ConfigDict(
        extra='forbid',
    )
    action: Literal['turn']
    angle: float
    """Degrees clockwise from how it lies in the frame, -180 to 180."""
    index: int
    """Index of the chromosome."""


class FlipChange(Model):
    """A chromosome is mirrored in the karyogram: left and right exchanged."""

    model_config = ConfigDict(
        extra='forbid',
    )
    action: Literal['flip']
    flipped: bool
    """Whether it is mirrored."""
    index: int
    """Index of the chromosome."""


class SplitChange(Model):
    """What was taken for one chromosome is parted along a line, which goes on beyond its ends. Neither part keeps the class."""

    model_config = ConfigDict(
        extra='forbid',
    )
    action: Literal['split']
    index: int
    """Index of the chromosome; the part left of the line keeps it."""
    line: list[list[float]]
    """Two or more places in pixels of the frame."""


class JoinChange(Model):
    """Parts of one chromosome are joined: it takes the index and the class of the largest."""

    model_config = ConfigDict(
        extra='forbid',
    )
    action: Literal['join']
    indices: list[int]
    """Indices of the parts."""


class OutlineChange(Model):
    """The outline of a chromosome is drawn again; without an index a chromosome is added."""

    model_config = ConfigDict(
        extra='forbid',
    )
    action: Literal['outline']
    index: int | None = None
    """Index of the chromosome."""
    rings: list[list[list[float]]]
    """Closed lines of corners in pixels of the frame; the first goes around it, others are its holes."""


class RevertChange(Model):
    """Chromosomes, karyotype and counts are again as they were at an earlier revision."""

    model_config = ConfigDict(
        extra='forbid',
    )
    action: Literal['revert']
    revision: int
    """Which."""


class ReviewRequest(Model):
    """A cell that a person should look at."""

    cell: UUID
    """Which."""
    reason: str
    """Why, in words."""
    reason_code: str | None = None
    """The code of these words."""
    reason_values: dict[str, str] | None = None
    """The values in these words."""


class ScoredClass(Model):
    """A class and its probability."""

    class_: Annotated[str, Field(alias='class')]
    """The class."""
    score: float
    """Probability, 0 to 1."""


class ScoredPiece(Model):
    """What a piece was taken for, and how surely."""

    kind: Literal[
        'monocentric',
        'dicentric',
        'tricentric',
        'ring',
        'fragment',
        'two_monocentrics',
        'unclear',
    ]
    """What it is."""
    score: float
    """How sure whoever scored it is: a machine's score of the kind, 0 to 1; 1 of a person."""
    scored_by: Literal['machine', 'review', 'truth', 'import']
    """Who scored it."""


class ScorerUsed(Model):
    """What counted the aberrations of a machine-scored cell. A dose and its curve belong together only where these are the same."""

    models: str
    """The networks that it rests on, `task: name@hash12`, joined."""
    scorer: str
    """Name and version of the scorer."""
    selection: str
    """Which cells it selects, in words: `46 to 46 centromeres`."""
    strictness: float
    """Its strictness, 0 to 1."""


class SessionView(Model):
    """A session in a list."""

    address: str
    """From which address."""
    agent: str
    """What the browser says about itself."""
    current: bool
    """Whether it is the one that asks."""
    session: UUID
    """Its id."""
    since: str
    """When the person logged in, RFC 3339 in UTC."""
    until: str
    """When it ends by itself."""
    user: str
    """Who."""


class Simulated(Model):
    """What the simulator knows of a cell that it drew."""

    karyotype: str | None = None
    """Its karyotype in ISCN form; none where no drawn cell lies in its place, and where sex chromosomes are withheld."""


class SourceFacts(Model):
    """What a source is, in `birth/1`."""

    kind: str
    """Kind."""
    mode: str
    """Mode."""
    stain: str
    """Stain."""


class SourceState(Model):
    """State of one camera or folder."""

    activity: str
    """`starting`, `running`, `paused`, `finished`, `lost`."""
    device: str | None = None
    """The device and what its driver took of the configuration, in words; empty where there is none."""
    hints: list[str] = []
    """Hints for the person at the microscope: focus, saturation, exposure."""
    kind: str
    """Kind: simulator, folder, webcam ..."""
    level: Literal['ok', 'degraded', 'failed']
    """How it is."""
    mode: str
    """`freshest` or `lossless`."""
    reason: str
    """What is wrong and what to do, in words; empty when all is well."""
    size: Annotated[list[int] | None, Field(max_length=2, min_length=2)] = None
    """Width and height of its frames in pixels, once known."""


class SourceStats(Model):
    """Counters of one source in `stats/1`."""

    accepted: int
    """Frames taken in."""
    busy: bool = False
    """Whether a further frame would be refused now: a scanner waits."""
    device_gaps: int = 0
    """Frames that the device numbered and that never came."""
    dropped: dict[str, int]
    """Frames given up, by reason."""
    frames_per_s: float
    """Frames a second over the last ten seconds."""
    in_flight: int
    """Frames on their way."""
    merged: int
    """Frames for which another stood."""
    rejected: dict[str, int]
    """Frames that gave no cell, by reason."""
    stored: int
    """Frames that gave a cell."""
    transport_errors: int = 0
    """Frames that the transport lost or broke."""
    waiting: int = 0
    """Pushed frames that wait in the spool."""


class SourceView(Model):
    """A source: what it is, how it is, what it counted."""

    facts: SourceFacts
    """What it is."""
    name: str
    """Its name in the configuration."""
    state: SourceState
    """How it is."""
    stats: SourceStats
    """What it counted."""


class Sources(Model):
    """The answer of `sources`."""

    sources: list[SourceView]
    """The sources, by name."""


class StagePosition(Model):
    """Position of the microscope's stage in micrometres."""

    x: float
    """Across the slide."""
    y: float
    """Along the slide."""
    z: float | None = None
    """Focus, where known."""


class StageState(Model):
    """State of one stage."""

    level: Literal['ok', 'degraded', 'failed']
    """How it is."""
    reason: str
    """What is wrong, in words."""
    restarts: int
    """How often it was rebuilt after a panic."""


class StageStats(Model):
    """Counters of one stage in `stats/1`."""

    done: int
    """Frames done."""
    mean_ms: float
    """Mean milliseconds a frame over the run."""
    waiting: int
    """Frames that wait before it now."""


class Stance(Model):
    """How a person has laid a chromosome into the karyogram."""

    angle: float
    """Degrees by which it is turned clockwise, -180 to 180."""
    mirrored: bool
    """Left and right are exchanged: it lay on the slide with its other side up."""


class Stats(Model):
    """The `stats/1` message."""

    cells_per_min: float
    """Cells a minute over the last minute."""
    cells_published: int
    """Cells the broker has acknowledged."""
    cells_stored: int
    """Cells written to the store."""
    outbox_depth: int
    """Rows that wait for the broker."""
    resent: int
    """Messages sent again after a lost connection: how often one may have come twice."""
    schema_: Annotated[str, Field(alias='schema')]
    """`stats/1`."""
    sources: dict[str, SourceStats]
    """By source."""
    stages: dict[str, StageStats]
    """By stage."""
    station: str
    """Station."""
    time: str
    """When it was written, RFC 3339 in UTC."""
    uptime_s: float
    """Seconds since the start."""


class StoreState(Model):
    """State of the store."""

    level: Literal['ok', 'degraded', 'failed']
    """How it is."""
    outbox_depth: int
    """Rows that wait for the broker."""
    pictures_not_kept: int = 0
    """Pictures of frames that could not be written since the start; their cells are stored without them."""
    reason: str
    """What is wrong, in words."""


class Subject(Model):
    """Subject data of a case. All optional; they stay in the store and go with the case."""

    model_config = ConfigDict(
        extra='forbid',
    )
    age: float | None = None
    """Age at sampling in years, for the translocations expected without an exposure."""
    earlier_exposed: str | None = None
    """Date of the earlier exposure."""
    earlier_gy: float | None = None
    """Known dose of an earlier exposure in Gy."""
    exposed: str | None = None
    """Date of the exposure (or its middle)."""
    sampled: str | None = None
    """Date on which the blood was drawn."""


class TriggerRequest(Model):
    """Body of `trigger`."""

    model_config = ConfigDict(
        extra='forbid',
    )
    field: str | None = None
    """The scanner's own name of the field."""
    source: str | None = None
    """Name of the source; may be left out when there is one."""
    stage_um: StagePosition | None = None
    """Where the stage stands; `z` may be left out."""
    trigger: str
    """The scanner's event id, echoed in every answer; one that was used before is not taken again."""


class UserView(Model):
    """A user in a list."""

    password: bool
    """Whether there is a password; without one the person comes in by the proxy alone."""
    role: Literal['view', 'review', 'administer']
    """Role."""
    user: str
    """Name."""


class UserViews(Model):
    """The users."""

    users: list[UserView]
    """By name."""


class Who(Model):
    """Who sends the requests of this page or program."""

    entrance: Literal['open', 'token', 'password', 'proxy']
    """How they came in."""
    role: Literal['view', 'review', 'administer']
    """What they may do."""
    user: str | None = None
    """Name; null where nobody has to say who they are, and with the token."""


class Birth(Model):
    """The `birth/1` message: what this daemon is."""

    assay: str
    """`karyotype` or `dicentric`."""
    configuration: str
    """SHA-256 over the effective configuration, secrets left out."""
    engine: str
    """Engine in use."""
    host: HostFacts
    """The machine."""
    models: list[ModelFacts]
    """Models in use."""
    notice: str
    """Research use only."""
    schema_: Annotated[str, Field(alias='schema')]
    """`birth/1`."""
    sources: dict[str, SourceFacts]
    """Sources by name."""
    started: str
    """When the daemon started, RFC 3339 in UTC."""
    station: str
    """Station."""
    version: str
    """Version of metaphased."""


class BrokerState(Model):
    """State of the broker connection."""

    connected: bool
    """Whether the connection stands."""
    level: Literal['ok', 'degraded', 'failed']
    """How it is."""
    reason: str
    """What is wrong, in words."""
    set_aside: int = 0
    """Messages that are larger than it takes; they wait in the store."""
    url: str
    """Where it is, without credentials."""


class Captured(Model):
    """When and where the frame of a cell was taken."""

    file: str | None = None
    """File the frame was read from, relative to the source's folder."""
    frame: int
    """Number of the frame within its source."""
    size: Annotated[list[int], Field(max_length=2, min_length=2)]
    """Width and height of the frame in pixels."""
    stage_um: StagePosition | None = None
    """Stage position in micrometres, where the source knows it."""
    time: str
    """Wall clock time, RFC 3339 in UTC."""
    trigger: str | None = None
    """The scanner's own event id, echoed."""
    um_per_px: float | None = None
    """Pixel size in micrometres, where known."""


class CaseMessage(Model):
    """The `case/1` message."""

    case: str
    """Id of the case."""
    cells: CaseCells
    """Numbers of cells."""
    cells_needed: int
    """Cells (colonies) still needed."""
    cells_target: int
    """Cells aimed at: more where one cell was unusual. Colonies of an in-situ culture."""
    chance_findings: list[ChanceFinding]
    """Findings of too few cells to count."""
    clones: list[Clone]
    """Cell lines, in the order of the consensus."""
    excluded: Excluded | None = None
    """The same as numbers."""
    excludes: str | None = None
    """What the count excludes, in words."""
    extended: str | None = None
    """Why more than usual are aimed at."""
    extended_code: Coded | None = None
    """The code of these words."""
    iscn: str | None = None
    """Consensus of the cells in ISCN form."""
    notice: str
    """Research use only."""
    review: list[ReviewRequest]
    """Cells that a person should look at, most pressing first."""
    schema_: Annotated[str, Field(alias='schema')]
    """`case/1`."""
    simulated: bool | None = None
    """Cells of it were drawn by the simulator."""
    slides: list[str]
    """Its slides."""
    station: str
    """Station."""


class CaseSubject(Model):
    """Body of `cases/{id}/subject`."""

    model_config = ConfigDict(
        extra='forbid',
    )
    by: str | None = None
    """Who; may be left out by a person who is logged in."""
    subject: Subject | None = None
    """The data; none removes them."""


class Centromere(Model):
    """A centromere."""

    at: Annotated[list[float], Field(max_length=2, min_length=2)]
    """Where, `[x, y]` in pixels of the frame."""
    score: float
    """How sure it is, 0 to 1."""
    source: Literal['network', 'segmentation', 'person']
    """Who found it."""


class Chromosome(Model):
    """One chromosome of a cell."""

    alternatives: list[ScoredClass]
    """Probabilities of the most likely classes before assignment, best first."""
    axis: list[list[float]] | None = None
    """Its middle line in pixels of the frame, from the tip of the short arm where the way up is known; empty where it has none."""
    box: Annotated[list[float], Field(max_length=4, min_length=4)]
    """Where it lies in the frame."""
    centromere_index: float | None = None
    """Short arm over whole length, 0 to 0.5."""
    centromeres: list[Centromere] | None = None
    """Its centromeres, the surest first: none, one, or two and more of a dicentric. Empty also where nothing looked for them."""
    class_: Annotated[str | None, Field(alias='class')] = None
    """The class the cell's assignment gave it; none where no classifier ran or it is no single chromosome."""
    damage: Literal[
        'none', 'break', 'gap', 'exchange', 'dicentric', 'ring', 'fragment', 'other'
    ]
    """Damage candidate."""
    evidence: str | None = None
    """What the damage or an unusual status rests on, in words."""
    index: int
    """Place in the cell's list, from 0."""
    length_um: float | None = None
    """Length along the medial axis in micrometres, where the pixel size is known."""
    objectness: float
    """Probability of the detector that this is a chromosome, 0 to 1."""
    outline: Outline | None = None
    """Its outline, where a network has drawn it."""
    piece: ScoredPiece | None = None
    """What it is in the dicentric assay; none in other assays, and where nobody has scored it."""
    relative_length: float | None = None
    """Length as a share of the cell's haploid autosome length, in percent (chromosome 1 about 8.4)."""
    score: float
    """Probability of the class, or of being a chromosome where no classifier ran; 0 to 1."""
    stance: Stance | None = None
    """How a person has laid it; none where none has."""
    status: Literal['single', 'touching', 'crossing', 'unclear']
    """How it lies among its neighbours."""
    upright_angle: float | None = None
    """Degrees to turn it clockwise so that the short arm points up, -180 to 180."""


class CurveUsed(Model):
    """The curve behind a dose."""

    alpha: float
    """alpha per cell and Gy."""
    beta: float
    """beta per cell and Gy^2."""
    c: float
    """c per cell."""
    covariance: Annotated[
        list[list[float]] | None, Field(max_length=3, min_length=3)
    ] = None
    """Covariance of (c, alpha, beta), where there is one: with it the band can be drawn again."""
    dose_range_gy: Annotated[list[float] | None, Field(max_length=2, min_length=2)] = (
        None
    )
    """Calibrated doses in Gy."""
    id: str
    """Its name."""
    quickscan: bool | None = None
    """Whether its cells were counted by QuickScan."""
    radiation: str
    """Radiation."""
    scorer: str | None = None
    """The scorer that counted for it, where a machine did."""
    scoring: Literal['manual', 'semi-automatic', 'automatic'] | None = None
    """How its cells were scored."""
    source: str
    """Where it comes from."""
    uncertainty: Literal['none', 'errors_only', 'covariance']
    """Whether errors and covariances of the coefficients are known."""


class DicentricRecord(Model):
    """The aberration record of a cell in the dicentric assay."""

    accepted_centromeres: Annotated[list[int], Field(max_length=2, min_length=2)]
    """The accepted range of centromeres, lowest and highest, that `complete` used."""
    centromeres: int
    """Sum of centromeres."""
    complete: bool
    """Whether the cell counts as complete under the accepted range of centromeres."""
    dicentrics: int
    """Chromosomes with two centromeres."""
    doubles: int | None = None
    """Objects of the detector that were left out because another holds most of the same pixels."""
    first_division: bool | None = None
    """Whether the cell is in its first division after exposure, where known."""
    flags: list[str] | None = None
    """What a person should look at, in words: a dicentric without its fragment, or the other way."""
    fragments: int
    """Acentric fragments."""
    higher: list[int] | None = None
    """Chromosomes with four or more centromeres, as their centromere counts."""
    monocentrics: int
    """Chromosomes with one centromere, rings not counted."""
    not_scored: str | None = None
    """Why neither machine nor person has scored the cell; its counts are then no counts. None once somebody has."""
    not_selected: str | None = None
    """Why the scorer's selection of cells leaves it out; such a cell is not counted whoever has looked."""
    quickscan: bool | None = None
    """Scored by QuickScan: `complete` says that the cell looks complete, its centromeres were not counted to 46."""
    ranked: Ranked | None = None
    """Where it stands in a selection of the best cells of its case."""
    reviewed: list[int] | None = None
    """Called dicentrics that a person has accepted or rejected, by their `index` in the cell."""
    rings: int
    """Centric rings."""
    scored_by: Literal['machine', 'review', 'truth', 'import']
    """Who counted."""
    scorer: ScorerUsed | None = None
    """The scorer that counted, where a machine did."""
    tricentrics: int
    """Chromosomes with three centromeres."""
    unclear: int
    """Pieces whose centromeres could not be counted."""


class DoseLimits(Model):
    """Whole-body dose with its limits."""

    high: float | None = None
    """Upper limit in Gy; none where the curve or the counts do not bound it."""
    level: float
    """Level of the limits as asked. In Merkle's method that of each of its two errors: 83 % twice is about 95 %."""
    level_curve: float | None = None
    """Level of the band of the curve, in Merkle's method."""
    low: float | None = None
    """Lower limit in Gy."""
    method: Literal['likelihood', 'merkle', 'delta']
    """How the limits were found."""
    value: float
    """Best estimate in Gy."""


class EngineState(Model):
    """State of the inference engine."""

    level: Literal['ok', 'degraded', 'failed']
    """How it is."""
    library: str = ''
    """Library, provider and threads, for people."""
    models: dict[str, str]
    """`task: name@hash12`."""
    name: str
    """Engine in use: cpu, onnxruntime, tensorrt, kserve; `segmentation` when no model was found."""
    reason: str
    """What is wrong or missing, in words."""


class Finding(Model):
    """One finding on a cell."""

    chromosomes: list[int]
    """Indices of the chromosomes concerned."""
    class_: Annotated[str | None, Field(alias='class')] = None
    """Class concerned, where there is one."""
    iscn: str | None = None
    """In ISCN form (`+21`, `-X`, `+mar`), where there is one."""
    kind: Literal['gain', 'loss', 'ploidy', 'structural', 'damage']
    """Kind of finding."""
    posterior: float
    """Probability of the finding, 0 to 1."""
    syndrome: str | None = None
    """Common name of the syndrome that goes with the finding, as a label."""
    text: str
    """In words, with the evidence."""


class FoundSpread(Model):
    """A metaphase as one frame shows it, at its place on the slide."""

    cut: bool
    """The edge of the frame cuts it."""
    frame: int
    """Number of the frame within it."""
    quality: Quality
    """Scores of triage."""
    score: float
    """How good it is to go to, 0 to 1: by its scores, less where the frame cuts it."""
    size_um: Annotated[list[float], Field(max_length=2, min_length=2)]
    """Its width and height, along the axes of the stage."""
    source: str
    """Source of the frame."""
    stage_um: StagePosition
    """Its middle on the stage; the height is that of the frame."""
    time: str
    """When the frame was taken, RFC 3339 in UTC."""
    trigger: str | None = None
    """The scanner's event id."""


class Hint(Model):
    """One hint: what is seen and what helps."""

    code: str
    """The code of the words: `saturated`, `dark`, `faint` or `soft`."""
    kind: Literal['saturation', 'exposure', 'focus']
    """What it is about."""
    share: float | None = None
    """The share of the picture, or of its range, that stands in the words; 0 to 1."""
    text: str
    """What is seen and what to do, in words."""


class Karyotype(Model):
    """The karyotype of one cell."""

    findings: list[Finding]
    """What was found."""
    iscn: str | None = None
    """ISCN string, where one can be given."""
    posterior: float | None = None
    """Posterior of the whole karyotype, 0 to 1."""
    reason: str
    """Why, in words."""
    reason_code: str | None = None
    """The code of these words; none where no code says the same, as before this field was there."""
    reason_values: dict[str, str] | None = None
    """The values in these words."""
    verdict: Literal['normal', 'abnormal', 'not_assessable']
    """Verdict over the cell."""


class PartialBodyEstimate(Model):
    """Partial-body estimate."""

    d0_gy: float
    """D0 of cell survival in Gy."""
    dose_gy: Bounded
    """Dose to the exposed part in Gy."""
    fraction: Bounded
    """Share of the cells irradiated at the start (F), selection by cell death put right."""
    method: Literal['dolphin']
    """`dolphin`."""
    scored_fraction: Bounded
    """Share of the scored cells that were irradiated (f)."""
    yield_: Annotated[Bounded, Field(alias='yield')]
    """Yield of the exposed part."""


class RankedSpread(Model):
    """One metaphase of a slide."""

    cells: list[UUID] = []
    """Cells that were recognised there."""
    cut: bool
    """The edge of the frame cuts it."""
    frame: int
    """Number of the frame within it."""
    quality: Quality
    """Scores of triage."""
    rank: int
    """Its place, from 1."""
    score: float
    """How good it is to go to, 0 to 1: by its scores, less where the frame cuts it."""
    size_um: Annotated[list[float], Field(max_length=2, min_length=2)]
    """Its width and height, along the axes of the stage."""
    source: str
    """Source of the frame."""
    stage_um: StagePosition
    """Its middle on the stage; the height is that of the frame."""
    time: str
    """When the frame was taken, RFC 3339 in UTC."""
    trigger: str | None = None
    """The scanner's event id."""


class Report(Model):
    """What `iscn check` says about one string."""

    abnormalities: list[str]
    """Abnormalities in plain words."""
    modal_count: str
    """Counts as written, one a cell line, joined by `/`."""
    reason: str | None = None
    """What is wrong; several faults joined by `; `."""
    severity: Literal['convention', 'fatal'] | None = None
    """The worst fault."""
    sex_complement: str
    """Sex complements as written, one a cell line, joined by `/`."""
    string: str
    """The string as given."""
    valid: bool
    """True when nothing is wrong with it."""


class RejectDicentricChange(Model):
    """What was called a dicentric is none."""

    model_config = ConfigDict(
        extra='forbid',
    )
    action: Literal['reject_dicentric']
    index: int
    """Index of the chromosome."""
    seen: Literal['one_chromosome', 'two_chromosomes', 'unclear']
    """What it is."""


class VerdictChange(Model):
    """The verdict over the cell."""

    model_config = ConfigDict(
        extra='forbid',
    )
    action: Literal['verdict']
    verdict: Literal['normal', 'abnormal', 'not_assessable']
    """The right verdict."""


class DicentricChange(Model):
    """The counts of the dicentric assay, as a person scored them."""

    model_config = ConfigDict(
        extra='forbid',
    )
    action: Literal['dicentric']
    record: DicentricRecord
    """The right record."""


class SessionList(Model):
    """Sessions."""

    sessions: list[SessionView]
    """Of everybody for who administers, otherwise one's own; the oldest first."""


class SlideState(Model):
    """The `slide/1` message: the ranked metaphases of a slide."""

    metaphases: list[RankedSpread]
    """The best first, at most 1000."""
    notice: str
    """Research use only."""
    schema_: Annotated[str, Field(alias='schema')]
    """`slide/1`."""
    slide: str
    """Slide."""
    station: str
    """Station."""
    time: str
    """When it was written, RFC 3339 in UTC."""
    total: int
    """Metaphases that are known, those left out of the list included."""


class State(Model):
    """The `state/1` message: how the daemon is, in words."""

    broker: BrokerState
    """Broker."""
    case: str | None = None
    """Case that new cells belong to, while one is open."""
    engine: EngineState
    """Inference."""
    level: Literal['ok', 'degraded', 'failed']
    """The worst of all parts."""
    reasons: list[str]
    """Why it is not ok, in words; empty when it is."""
    schema_: Annotated[str, Field(alias='schema')]
    """`state/1`."""
    slide: str | None = None
    """Slide that new cells lie on."""
    sources: dict[str, SourceState]
    """Sources by name."""
    stages: dict[str, StageState]
    """Stages by name."""
    station: str
    """Station."""
    store: StoreState
    """Store."""
    time: str
    """When it was written, RFC 3339 in UTC."""


class StatusAnswer(Model):
    """The `status/1` answer."""

    birth: Birth
    """What it is."""
    schema_: Annotated[str, Field(alias='schema')]
    """`status/1`."""
    state: State
    """How it is, in words."""
    stats: Stats
    """What it counted."""


class TriggerView(Model):
    """A trigger and what became of it, as `triggers/{id}` gives it."""

    answered: str | None = None
    """When it was answered."""
    cells: list[UUID] | None = None
    """Its cells."""
    field: str | None = None
    """The scanner's own name of the field."""
    frame: int | None = None
    """Number of the frame within its source."""
    metaphases: list[FoundSpread] | None = None
    """Where they lie on the slide, or what a search frame shows, the best first."""
    quality: Quality | None = None
    """Scores of triage: focus, metaphase, spread."""
    reason: str | None = None
    """Why it gave none: the `reason` of the `rejected` message."""
    received: str
    """When it came, RFC 3339 in UTC."""
    source: str
    """Source that it went to."""
    stage_um: StagePosition | None = None
    """Where the stage stood."""
    state: Literal['waiting', 'cell', 'found', 'rejected']
    """What came of it."""
    text: str | None = None
    """The reason in words."""
    trigger: str
    """The scanner's event id."""


class Cell(Model):
    """One finished cell: the `cell` message."""

    captured: Captured
    """When and where its frame was taken."""
    case: str | None = None
    """Case it belongs to."""
    cell: UUID
    """Stable id, UUID version 7."""
    chromosomes: list[Chromosome]
    """Its chromosomes."""
    colony: str | None = None
    """Colony it grew in, in an in-situ culture."""
    comments: list[Comment] | None = None
    """What people noted, in order."""
    counts: Counts
    """Counts over them."""
    dicentric: DicentricRecord | None = None
    """Aberration record, in the dicentric assay."""
    doubts: list[Literal['cut_by_frame']] = []
    """Why it may be incomplete."""
    excluded: Exclusion | None = None
    """Set where a person has excluded the cell; taken back by the next review that says so."""
    frame_edge: FrameEdge | None = None
    """How it lies at the edge of the frame; none where that was not looked at."""
    karyotype: Karyotype
    """Karyotype and verdict."""
    leftover: Leftover | None = None
    """Dark material that no chromosome's outline holds; none where nothing draws outlines."""
    models: dict[str, str]
    """`task: name@hash12` of the models used; empty when segmentation alone ran."""
    notice: str
    """Research use only."""
    quality: Quality
    """Scores of triage."""
    region: Annotated[list[float], Field(max_length=4, min_length=4)]
    """The part of the frame that the cell fills."""
    replayed: bool
    """True when the frame was replayed (folder), not live."""
    review: Review | None = None
    """The last review, where there was one."""
    revision: int
    """Counts up with each correction; with `cell` it identifies a message."""
    schema_: Annotated[str, Field(alias='schema')]
    """`cell/1`."""
    simulated: Simulated | None = None
    """The picture was drawn by the simulator; none for a real one."""
    slide: str | None = None
    """Slide it lies on."""
    source: str
    """Source (camera) it came from."""
    station: str
    """Station that produced it."""
    timing_ms: dict[str, float]
    """Milliseconds spent, by stage."""


class CellMessage(Model):
    """The `cell/1` message: the record, and a small picture where `mqtt.thumbnails` asks for it."""

    captured: Captured
    """When and where its frame was taken."""
    case: str | None = None
    """Case it belongs to."""
    cell: UUID
    """Stable id, UUID version 7."""
    chromosomes: list[Chromosome]
    """Its chromosomes."""
    colony: str | None = None
    """Colony it grew in, in an in-situ culture."""
    comments: list[Comment] | None = None
    """What people noted, in order."""
    counts: Counts
    """Counts over them."""
    dicentric: DicentricRecord | None = None
    """Aberration record, in the dicentric assay."""
    doubts: list[Literal['cut_by_frame']] = []
    """Why it may be incomplete."""
    excluded: Exclusion | None = None
    """Set where a person has excluded the cell; taken back by the next review that says so."""
    frame_edge: FrameEdge | None = None
    """How it lies at the edge of the frame; none where that was not looked at."""
    karyotype: Karyotype
    """Karyotype and verdict."""
    leftover: Leftover | None = None
    """Dark material that no chromosome's outline holds; none where nothing draws outlines."""
    models: dict[str, str]
    """`task: name@hash12` of the models used; empty when segmentation alone ran."""
    notice: str
    """Research use only."""
    quality: Quality
    """Scores of triage."""
    region: Annotated[list[float], Field(max_length=4, min_length=4)]
    """The part of the frame that the cell fills."""
    replayed: bool
    """True when the frame was replayed (folder), not live."""
    review: Review | None = None
    """The last review, where there was one."""
    revision: int
    """Counts up with each correction; with `cell` it identifies a message."""
    schema_: Annotated[str, Field(alias='schema')]
    """`cell/1`."""
    simulated: Simulated | None = None
    """The picture was drawn by the simulator; none for a real one."""
    slide: str | None = None
    """Slide it lies on."""
    source: str
    """Source (camera) it came from."""
    station: str
    """Station that produced it."""
    thumbnail_jpeg: str | None = None
    """JPEG of the cell, longer side at most 320 pixels, in base64."""
    timing_ms: dict[str, float]
    """Milliseconds spent, by stage."""


class CellPage(Model):
    """A page of cells."""

    cells: list[Cell]
    """The cells."""
    next: str | None = None
    """What to give as `after` for the next page; none: this was the last."""


class CellReview(Model):
    """Body of `cells/{id}/review`."""

    model_config = ConfigDict(
        extra='forbid',
    )
    by: str | None = None
    """Who; may be left out by a person who is logged in."""
    change: (
        ClassChange
        | DamageChange
        | RejectDicentricChange
        | PieceChange
        | VerdictChange
        | DicentricChange
        | IscnChange
        | ExcludeChange
        | ConfirmChange
        | CommentChange
        | StatusChange
        | TurnChange
        | FlipChange
        | SplitChange
        | JoinChange
        | OutlineChange
        | RevertChange
    )
    """What to change."""
    revision: int | None = None
    """Revision the person saw; a newer one in the store refuses the review."""


class Estimate(Model):
    """What one sample says about the dose."""

    curve: CurveUsed
    """The curve."""
    dispersion: Dispersion
    """Dispersion and u; none where not defined."""
    dose_gy: DoseLimits
    """Whole-body dose."""
    dose_gy_uncorrected: float | None = None
    """The dose without the correction for time, where time had passed."""
    input: Input
    """The counts."""
    limits: LimitsFound
    """Decision threshold and detection limit."""
    partial_body: PartialBodyEstimate | None = None
    """Partial-body estimate, where there is one."""
    warnings: list[str]
    """What a person should know."""
    yield_: Annotated[Bounded, Field(alias='yield')]
    """Aberrations per cell."""
    yield_at_exposure: float | None = None
    """The yield carried back to the time of exposure, where time had passed."""


class FrameNote(Model):
    """What is published about a frame: the `frame` event. The picture is at `sources/{source}/frame.jpg?frame={frame}`."""

    exposure: Exposure
    """Light."""
    frame: int
    """Number of the frame within its source."""
    hints: list[Hint]
    """What the person at the microscope could do better, worst first; empty when all is well."""
    quality: Quality
    """What triage thought."""
    scene: int | None = None
    """Number of the scene it belongs to, where the pipeline groups frames: boxes of one frame hold for its scene."""
    size: Annotated[list[int], Field(max_length=2, min_length=2)]
    """Width and height of the whole frame in pixels; boxes are in these."""
    source: str
    """Name of the source."""
    um_per_px: float | None = None
    """Pixel size in micrometres, where known."""


class DoseMessage(Model):
    """The `dose/1` message."""

    alarm: Literal['clear', 'held', 'raised', 'acknowledged']
    """The alarm of the case."""
    alarm_gy: float | None = None
    """Its level in Gy, where one is configured."""
    case: str
    """Id of the case."""
    cells: DoseCells
    """Numbers of cells."""
    cells_needed: CellsNeeded
    """Cells needed for narrower limits."""
    counts: list[int]
    """Counted cells with 0, 1, 2, ... dicentrics."""
    dicentrics: int
    """Dicentrics in the counted cells: a tricentric counts two."""
    estimate: Estimate | None = None
    """Yield, dose, dispersion, part of the body, limits, curve and warnings; none before the first counted cell."""
    flag_codes: list[Coded] | None = None
    """The codes of these words, in the same order."""
    flags: list[str]
    """What a person should know beyond the estimate's warnings."""
    fragments: int
    """Acentric fragments in the counted cells."""
    mismatch: str | None = None
    """
    Why the dose does not hold for these cells, in a few words: somebody else counted for the curve than counted them. The first
    of the flags that say it in full.
    """
    notice: str
    """Research use only."""
    preliminary: bool = False
    """Too few cells for an alarm yet: fewer than `dose.alarm_min_cells` and fewer than 30 dicentrics. The dose is a first look."""
    progress: Literal['started', 'triage', 'full']
    """How far the scoring has come."""
    rings: int
    """Centric rings in the counted cells; they are no part of the dose."""
    schema_: Annotated[str, Field(alias='schema')]
    """`dose/1`."""
    scorers: list[str] | None = None
    """
    The scorers (version, strictness, selection of cells, networks) that counted the cells which a machine scored. A curve
    holds for cells of the scorer that its own were counted by.
    """
    station: str
    """Station."""
    subject: Subject | None = None
    """Subject data that the dose uses; only where `dose.publish_subject` is set."""


class CaseView(Model):
    """A case as the store keeps it."""

    acknowledged: Acknowledged | None = None
    """Who acknowledged its alarm last, and when; in the answer for one case."""
    case: str
    """Its id."""
    closed: str | None = None
    """When it was closed."""
    dose: DoseMessage | None = None
    """Latest `dose/1` document."""
    opened: str | None = None
    """When its first cell or document came, RFC 3339; null while a case that takes cells has none."""
    state: CaseMessage | None = None
    """Latest `case/1` document: cells, clones, consensus, cells still needed."""
    stored_cells: int
    """Cells in the store."""


class Cases(Model):
    """A line of the case list."""

    cases: list[CaseView]
    """The cases."""
