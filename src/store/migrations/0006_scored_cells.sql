-- Schema 6: the lists of a radiation station. What counts and what awaits a person is the rule of the dose
-- (crates/dosimetry/src/dicentric/count.rs), which writes both columns with each revision of a cell; here it is once put in SQL
-- for the cells that are there.
ALTER TABLE cells ADD COLUMN counted INTEGER CHECK (counted IN (0, 1));     -- dicentric assay: the cell by itself counts towards the dose
ALTER TABLE cells ADD COLUMN to_review INTEGER CHECK (to_review IN (0, 1)); -- dicentric assay: a person has still to look at it
UPDATE cells SET
    counted = complete AND document ->> '$.excluded' IS NULL AND document ->> '$.dicentric.not_scored' IS NULL
        AND document ->> '$.dicentric.first_division' IS NOT 0 AND document ->> '$.dicentric.not_selected' IS NULL
        AND NOT (document ->> '$.dicentric.unclear' > 0 AND document ->> '$.dicentric.scored_by' = 'machine'),
    to_review = document ->> '$.excluded' IS NULL AND document ->> '$.dicentric.scored_by' = 'machine'
        AND document ->> '$.dicentric.first_division' IS NOT 0 AND document ->> '$.dicentric.not_selected' IS NULL
        AND (document ->> '$.dicentric.not_scored' IS NOT NULL OR document ->> '$.dicentric.unclear' > 0 OR dicentrics > 0)
WHERE complete IS NOT NULL;
CREATE INDEX cells_with_dicentrics ON cells (seq) WHERE dicentrics > 0;
CREATE INDEX cells_to_review ON cells (seq) WHERE to_review = 1;
CREATE INDEX cells_not_counted ON cells (seq) WHERE counted = 0;
