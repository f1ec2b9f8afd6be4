-- After loading: these let Postgres collect one patient's rows in order instead of hashing them all.

CREATE INDEX ON public.labs (patient_id);
CREATE INDEX ON public.events (patient_id);
ANALYZE public.patients, public.labs, public.events;
