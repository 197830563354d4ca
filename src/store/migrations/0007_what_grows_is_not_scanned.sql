-- Schema 7: what is asked of tables that grow without a bound. The rows of the outbox hold whole messages, so that each of
-- these questions read all of them.
CREATE INDEX outbox_retained ON outbox (topic) WHERE retain = 1;        -- retained messages come before the latest value of their topic
CREATE INDEX outbox_droppable ON outbox (id) WHERE droppable = 1;       -- what goes when the outbox is full
CREATE INDEX outbox_by_case ON outbox (case_id);                        -- what goes with an erased case; how many there are
CREATE INDEX cells_by_file ON cells (source, file) WHERE file IS NOT NULL; -- the cells of a file that has changed
CREATE INDEX marks_rejected ON file_marks (marked DESC, source, path) WHERE outcome = 'rejected'; -- the list of rejected files
