-- What jobwatch keeps beside pgmq's own tables. A message in pgmq.q_QUEUE is a job that is waited for:
--   {"v": 1, "dialect": …, "base_url": …, "credential": NAME, "job": {"id": …}, "snapshot": …}
-- A worker owns the messages that it has read, until their visibility timeout. pgmq does not fence: whoever knows a
-- message's number may move or delete it. Therefore every function here that changes one asks for its `read_ct` too,
-- which each reading raises: the epoch of the ownership.
CREATE SCHEMA jobwatch;

CREATE TABLE jobwatch.version (version integer NOT NULL);
INSERT INTO jobwatch.version VALUES (1);

-- The jobs that are in a queue, each once.
CREATE TABLE jobwatch.jobs (
    queue text NOT NULL,
    key bytea NOT NULL,
    msg_id bigint,
    -- Who read the message last and has not handed it back.
    worker text,
    -- Ownerships in which a look was begun of which nobody heard the end.
    tries integer NOT NULL DEFAULT 0,
    PRIMARY KEY (queue, key)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE UNIQUE INDEX jobs_message ON jobwatch.jobs (queue, msg_id);

-- The waits that have ended, each once. Ids can be longer than a B-tree takes.
CREATE TABLE jobwatch.results (
    queue text NOT NULL,
    key bytea NOT NULL,
    id text NOT NULL,
    dialect text NOT NULL,
    base_url text NOT NULL,
    credential text NOT NULL,
    -- succeeded, failed, cancelled and lost are the job's end; the others end only the wait.
    outcome text NOT NULL CHECK (outcome IN
        ('succeeded', 'failed', 'cancelled', 'lost', 'timed_out', 'gave_up', 'rejected', 'stopped')),
    reason text NOT NULL,
    state text,
    -- As text: what a backend sends may hold what jsonb does not.
    result json,
    error text,
    requests bigint NOT NULL,
    failed_requests bigint NOT NULL,
    elapsed_s double precision NOT NULL,
    detection_delay_s double precision,
    detection_delay_max_s double precision,
    worker text NOT NULL,
    msg_id bigint NOT NULL,
    epoch integer NOT NULL,
    enqueued_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (queue, key)
);
CREATE UNIQUE INDEX results_message ON jobwatch.results (queue, msg_id);
CREATE INDEX results_id ON jobwatch.results USING hash (id);

-- Who is at work, as last heard.
CREATE TABLE jobwatch.workers (
    worker text PRIMARY KEY,
    queue text NOT NULL,
    lane text NOT NULL,
    running bigint NOT NULL,
    recorded bigint NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

-- One row for each origin and credential: the instant from which requests have not been granted yet.
CREATE TABLE jobwatch.lanes (
    lane text PRIMARY KEY,
    next_at timestamptz NOT NULL
) WITH (fillfactor = 10);

-- One job is one backend's id, whoever asks for it.
CREATE FUNCTION jobwatch.key(message jsonb) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT sha256(convert_to(concat_ws(E'\n', message->'dialect', message->'base_url', message->'credential',
        message->'job'->'id'), 'UTF8'));
$$;

CREATE FUNCTION jobwatch.create_queue(queue_name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('jobwatch.' || queue_name));
    IF EXISTS (SELECT FROM pgmq.meta m WHERE m.queue_name = create_queue.queue_name) THEN
        RETURN;
    END IF;
    PERFORM pgmq.create(queue_name);
    -- Every change of a lease leaves a dead row, in the index too.
    EXECUTE format('ALTER TABLE pgmq.%I SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)',
        'q_' || queue_name);
END;
$$;

-- Sends the jobs that are not in the queue yet and whose end is not known. `standing` is queued, waiting (already in the
-- queue), or how the job has ended.
CREATE FUNCTION jobwatch.enqueue(queue_name text, messages jsonb[])
RETURNS TABLE (place bigint, standing text) LANGUAGE plpgsql AS $$
DECLARE
    fresh bytea[];
    ended bytea[];
    sent bigint[];
BEGIN
    WITH given AS (SELECT DISTINCT jobwatch.key(m) AS key FROM unnest(messages) m),
    claimed AS (
        INSERT INTO jobwatch.jobs AS j (queue, key) SELECT queue_name, g.key FROM given g ORDER BY g.key
        ON CONFLICT DO NOTHING RETURNING j.key
    )
    SELECT coalesce(array_agg(c.key), '{}') INTO fresh FROM claimed c;
    -- Asked for after the claim: an end that was recorded before it is seen here.
    WITH finished AS (
        DELETE FROM jobwatch.jobs j USING jobwatch.results r
        WHERE j.queue = queue_name AND j.key = ANY(fresh) AND r.queue = queue_name AND r.key = j.key
            AND r.outcome IN ('succeeded', 'failed', 'cancelled', 'lost')
        RETURNING j.key
    )
    SELECT coalesce(array_agg(o.key), '{}') INTO ended FROM finished o;
    fresh := ARRAY(SELECT unnest(fresh) EXCEPT SELECT unnest(ended));
    IF cardinality(fresh) > 0 THEN
        -- What ended only a wait is over when the next one begins.
        DELETE FROM jobwatch.results r WHERE r.queue = queue_name AND r.key = ANY(fresh);
        sent := ARRAY(SELECT pgmq.send_batch(queue_name, ARRAY(
            SELECT first.m FROM (
                SELECT DISTINCT ON (jobwatch.key(u.m)) u.m, u.ord FROM unnest(messages) WITH ORDINALITY AS u(m, ord)
                WHERE jobwatch.key(u.m) = ANY(fresh) ORDER BY jobwatch.key(u.m), u.ord
            ) first ORDER BY first.ord
        )));
        EXECUTE format(
            'UPDATE jobwatch.jobs j SET msg_id = q.msg_id FROM pgmq.%I q
             WHERE q.msg_id = ANY($1) AND j.queue = $2 AND j.key = jobwatch.key(q.message)', 'q_' || queue_name)
            USING sent, queue_name;
        PERFORM pg_notify('jobwatch.' || queue_name, '');
    END IF;
    RETURN QUERY
        SELECT g.ord, CASE
            WHEN g.key = ANY(fresh) AND row_number() OVER (PARTITION BY g.key ORDER BY g.ord) = 1 THEN 'queued'
            WHEN g.key = ANY(ended) THEN (SELECT r.outcome FROM jobwatch.results r
                                          WHERE r.queue = queue_name AND r.key = g.key)
            ELSE 'waiting' END
        FROM (SELECT u.ord, jobwatch.key(u.m) AS key FROM unnest(messages) WITH ORDINALITY AS u(m, ord)) g
        ORDER BY g.ord;
END;
$$;

-- Takes ownership of messages that nobody owns, for so many seconds.
CREATE FUNCTION jobwatch.adopt(queue_name text, worker_name text, seconds integer, most integer, filter jsonb)
RETURNS TABLE (id bigint, epoch integer, message text, tries integer) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
        WITH adopted AS MATERIALIZED (
            SELECT r.msg_id, r.read_ct, r.message::text AS message
            FROM pgmq.read(queue_name, seconds, most, filter) r
        ), owned AS (
            UPDATE jobwatch.jobs j SET worker = worker_name FROM adopted a
            WHERE j.queue = queue_name AND j.msg_id = a.msg_id RETURNING j.msg_id, j.tries
        )
        SELECT a.msg_id, a.read_ct, a.message, coalesce(o.tries, 0)
        FROM adopted a LEFT JOIN owned o ON o.msg_id = a.msg_id ORDER BY a.msg_id;
END;
$$;

-- Which of these messages are still owned in these epochs; they stay locked until the transaction ends.
CREATE FUNCTION jobwatch.owned(queue_name text, ids bigint[], epochs integer[]) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    mine bigint[];
BEGIN
    EXECUTE format(
        'SELECT coalesce(array_agg(locked.msg_id), ''{}'') FROM (
             SELECT q.msg_id FROM pgmq.%I q JOIN unnest($1, $2) AS own(id, epoch) ON q.msg_id = own.id
             WHERE q.read_ct = own.epoch ORDER BY q.msg_id FOR UPDATE OF q
         ) locked', 'q_' || queue_name) INTO mine USING ids, epochs;
    RETURN mine;
END;
$$;

-- Puts the end of ownerships off, and tells of which. Like the other changes it locks messages in their order.
CREATE FUNCTION jobwatch.extend(queue_name text, ids bigint[], epochs integer[], seconds double precision)
RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
    mine bigint[] := jobwatch.owned(queue_name, ids, epochs);
BEGIN
    SET LOCAL synchronous_commit = off; -- an extension that is lost in a crash of the server costs nothing but time
    PERFORM pgmq.set_vt(queue_name, mine, clock_timestamp() + make_interval(secs => seconds));
    RETURN QUERY SELECT unnest(mine);
END;
$$;

-- Grants the requests of the next second: so many, at the rate's own spacing, from `wait_s` seconds on. Grants of all
-- workers follow each other on one line of time. A worker's share is at most what every live one can have, and it may
-- ask again. The jobs at which a look begins for the first time in this ownership are noted: `started`, of which each
-- request begins at most `each`.
CREATE FUNCTION jobwatch.grant_requests(
    lane_name text, rate double precision, wanted integer, queue_name text, worker_name text, started bigint[], each integer
) RETURNS TABLE (granted integer, wait_s double precision) LANGUAGE plpgsql AS $$
DECLARE
    here timestamptz;
    start timestamptz;
    alive bigint;
    room double precision;
BEGIN
    SET LOCAL synchronous_commit = off; -- what is granted is over within a second
    INSERT INTO jobwatch.lanes VALUES (lane_name, '-infinity') ON CONFLICT DO NOTHING;
    SELECT greatest(l.next_at, clock_timestamp()) INTO start FROM jobwatch.lanes l WHERE l.lane = lane_name FOR UPDATE;
    here := clock_timestamp();
    start := greatest(start, here);
    SELECT greatest(count(*), 1) INTO alive FROM jobwatch.workers w
        WHERE w.lane = lane_name AND w.seen_at > here - interval '15 s';
    room := ceil((1 - extract(epoch FROM start - here)) * rate);
    granted := least(wanted, greatest(room, 0), ceil(rate / alive))::integer;
    wait_s := extract(epoch FROM start - here);
    IF granted > 0 THEN
        UPDATE jobwatch.lanes l SET next_at = start + make_interval(secs => granted / rate) WHERE l.lane = lane_name;
        UPDATE jobwatch.jobs j SET tries = j.tries + 1 WHERE j.queue = queue_name AND j.worker = worker_name
            AND j.msg_id = ANY(started[1:granted * each]);
    END IF;
    RETURN NEXT;
END;
$$;

-- A look at each of these jobs has come to its end. Where a snapshot is given, the message is rewritten with it.
CREATE FUNCTION jobwatch.progress(queue_name text, worker_name text, ids bigint[], epochs integer[], snapshots text[])
RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
    mine bigint[] := jobwatch.owned(queue_name, ids, epochs);
BEGIN
    EXECUTE format(
        'UPDATE pgmq.%I q SET message = jsonb_set(q.message, ''{snapshot}'', new.snapshot::jsonb)
         FROM unnest($1, $2) AS new(id, snapshot)
         WHERE q.msg_id = new.id AND q.msg_id = ANY($3) AND new.snapshot IS NOT NULL', 'q_' || queue_name)
        USING ids, snapshots, mine;
    UPDATE jobwatch.jobs j SET tries = 0
        WHERE j.queue = queue_name AND j.msg_id = ANY(mine) AND j.worker = worker_name AND j.tries > 0;
    RETURN QUERY SELECT unnest(mine);
END;
$$;

-- Records how waits have ended and deletes their messages. Tells which are recorded under these epochs, those included
-- that an earlier call had recorded whose answer was lost.
CREATE FUNCTION jobwatch.finish(
    queue_name text, worker_name text, ids bigint[], epochs integer[], outcomes text[], reasons text[], states text[],
    results text[], errors text[], requests bigint[], failed bigint[], elapsed double precision[],
    delays double precision[], greatest_delays double precision[]
) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
    mine bigint[] := jobwatch.owned(queue_name, ids, epochs);
BEGIN
    EXECUTE format(
        'INSERT INTO jobwatch.results
         SELECT $1, jobwatch.key(q.message), q.message->''job''->>''id'', q.message->>''dialect'',
             q.message->>''base_url'', q.message->>''credential'', e.outcome, e.reason, e.state, e.result::json, e.error,
             e.requests, e.failed, e.elapsed, e.delay, e.greatest_delay, $2, q.msg_id, q.read_ct, q.enqueued_at
         FROM pgmq.%I q JOIN unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
             AS e(id, outcome, reason, state, result, error, requests, failed, elapsed, delay, greatest_delay)
             ON q.msg_id = e.id
         WHERE q.msg_id = ANY($14)
         ON CONFLICT DO NOTHING', 'q_' || queue_name)
        USING queue_name, worker_name, ids, outcomes, reasons, states, results, errors, requests, failed, elapsed, delays,
            greatest_delays, mine;
    DELETE FROM jobwatch.jobs j WHERE j.queue = queue_name AND j.msg_id = ANY(mine);
    PERFORM pgmq.delete(queue_name, mine);
    RETURN QUERY
        SELECT r.msg_id FROM jobwatch.results r JOIN unnest(ids, epochs) AS own(id, epoch)
            ON r.msg_id = own.id AND r.epoch = own.epoch
        WHERE r.queue = queue_name;
END;
$$;

-- Hands messages back: they can be adopted at once, and nothing is held against their jobs. Where a snapshot is given,
-- the message is rewritten with it.
CREATE FUNCTION jobwatch.release(queue_name text, worker_name text, ids bigint[], epochs integer[], snapshots text[])
RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
    mine bigint[] := ARRAY(SELECT jobwatch.progress(queue_name, worker_name, ids, epochs, snapshots));
BEGIN
    UPDATE jobwatch.jobs j SET worker = NULL WHERE j.queue = queue_name AND j.msg_id = ANY(mine);
    PERFORM pgmq.set_vt(queue_name, mine, 0);
    PERFORM pg_notify('jobwatch.' || queue_name, '');
    RETURN QUERY SELECT unnest(mine);
END;
$$;

-- Takes messages out of the queue that nobody should try again: into pgmq's archive, with the reason among its headers.
-- A job that is known by its id gets a result, so that it is not looked for in vain.
CREATE FUNCTION jobwatch.set_aside(queue_name text, worker_name text, ids bigint[], epochs integer[], why text[])
RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
    mine bigint[] := jobwatch.owned(queue_name, ids, epochs);
BEGIN
    EXECUTE format(
        'UPDATE pgmq.%I q SET headers = coalesce(q.headers, ''{}'') || jsonb_build_object(''set_aside'', w.why)
         FROM unnest($1, $2) AS w(id, why) WHERE q.msg_id = w.id AND q.msg_id = ANY($3)', 'q_' || queue_name)
        USING ids, why, mine;
    EXECUTE format(
        'INSERT INTO jobwatch.results
         SELECT $1, jobwatch.key(q.message), q.message->''job''->>''id'', q.message->>''dialect'',
             q.message->>''base_url'', q.message->>''credential'', ''gave_up'', ''set_aside'', NULL, NULL,
             q.headers->>''set_aside'', 0, 0, 0, NULL, NULL, $2, q.msg_id, q.read_ct, q.enqueued_at
         FROM pgmq.%I q WHERE q.msg_id = ANY($3) AND q.message->''job''->>''id'' IS NOT NULL
         ON CONFLICT DO NOTHING', 'q_' || queue_name) USING queue_name, worker_name, mine;
    DELETE FROM jobwatch.jobs j WHERE j.queue = queue_name AND j.msg_id = ANY(mine);
    PERFORM pgmq.archive(queue_name, mine);
    RETURN QUERY SELECT unnest(mine);
END;
$$;

-- A worker is at work. Those of whom nothing was heard for a day are forgotten.
CREATE FUNCTION jobwatch.beat(worker_name text, queue_name text, lane_name text, jobs bigint, ends bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL synchronous_commit = off;
    INSERT INTO jobwatch.workers AS w (worker, queue, lane, running, recorded)
        VALUES (worker_name, queue_name, lane_name, jobs, ends)
        ON CONFLICT (worker) DO UPDATE SET queue = excluded.queue, lane = excluded.lane, running = excluded.running,
            recorded = excluded.recorded, seen_at = clock_timestamp();
    DELETE FROM jobwatch.workers w WHERE w.seen_at < clock_timestamp() - interval '1 day';
END;
$$;

-- What is in a queue: how many messages nobody owns, how many are owned, and for how long the oldest has waited.
CREATE FUNCTION jobwatch.standing(queue_name text)
RETURNS TABLE (waiting bigint, running bigint, oldest_s double precision, set_aside bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT count(*) FILTER (WHERE q.vt <= clock_timestamp()), count(*) FILTER (WHERE q.vt > clock_timestamp()),
             extract(epoch FROM clock_timestamp()
                 - min(q.enqueued_at) FILTER (WHERE q.vt <= clock_timestamp()))::double precision,
             (SELECT count(*) FROM pgmq.%I a WHERE a.headers ? ''set_aside'')
         FROM pgmq.%I q', 'a_' || queue_name, 'q_' || queue_name);
END;
$$;

-- How many jobs each worker owns.
CREATE FUNCTION jobwatch.owners(queue_name text) RETURNS TABLE (worker text, running bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT j.worker, count(*) FROM pgmq.%I q JOIN jobwatch.jobs j ON j.queue = $1 AND j.msg_id = q.msg_id
         WHERE q.vt > clock_timestamp() AND j.worker IS NOT NULL GROUP BY j.worker', 'q_' || queue_name) USING queue_name;
END;
$$;

-- How many messages for this backend are in the queue, owned or not.
CREATE FUNCTION jobwatch.remaining(queue_name text, filter jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    left_over bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM pgmq.%I q WHERE q.message @> $1', 'q_' || queue_name)
        INTO left_over USING filter;
    RETURN left_over;
END;
$$;
