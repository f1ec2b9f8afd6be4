-- The NAFLD cohort as tables. The files give labs and events no key of their own, so they get one.

CREATE TABLE public.patients (
    id            integer PRIMARY KEY,
    age           integer NOT NULL,
    sex           text NOT NULL,
    weight_kg     numeric(5,1),
    height_cm     numeric(5,1),
    bmi           numeric(5,2),
    followup_days integer NOT NULL,
    died          boolean NOT NULL
);

CREATE TABLE public.labs (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    patient_id integer NOT NULL REFERENCES public.patients,
    day        integer NOT NULL,
    test       text NOT NULL,
    value      double precision NOT NULL
);

CREATE TABLE public.events (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    patient_id integer NOT NULL REFERENCES public.patients,
    day        integer NOT NULL,
    event      text NOT NULL
);
