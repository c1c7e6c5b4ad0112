-- Rows of all shards of a map job; NULL for a training job. The kind and the progress of a job are asked for at each look, and
-- the document of a map job has megabytes.
ALTER TABLE jobs ADD COLUMN map_rows INTEGER;
UPDATE jobs SET map_rows = (SELECT sum(samples) FROM shards WHERE job = jobs.id)
    WHERE json_extract(CAST(document AS TEXT), '$.kind') = 'map';
