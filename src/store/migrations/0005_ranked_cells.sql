-- Schema 5: the orders in which cells are ranked, best pictures first and doubtful cells first. The expressions are those
-- of the queries (src/store/read.rs), or they would not be used.
CREATE INDEX cells_by_quality ON cells (
    document ->> '$.quality.focus' * (document ->> '$.quality.metaphase') * (document ->> '$.quality.spread') DESC
);
CREATE INDEX cells_by_doubt ON cells (
    document ->> '$.excluded' IS NOT NULL,
    document ->> '$.review' IS NOT NULL,
    coalesce(document ->> '$.karyotype.posterior', 0)
);
