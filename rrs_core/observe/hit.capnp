@0xb0d6956dc23c3717;
# Hits of seticore and bliss; one schema reads both, because bliss only adds fields.

struct Signal {
  frequency @0 :Float64;        # at the start of the scan [MHz]
  index @1 :Int32;              # fine channel in the coarse channel
  driftSteps @2 :Int32;         # channels drifted
  driftRate @3 :Float64;        # [Hz/s]
  snr @4 :Float32;
  coarseChannel @5 :Int32;
  beam @6 :Int32;
  numTimesteps @7 :Int32;
  power @8 :Float32;
  incoherentPower @9 :Float32;
  driftIndex @10 :Int32;        # from here on bliss only
  startTime @11 :Float32;       # [s since MJD 0]; a float32 holds it to some 500 s
  durationSeconds @12 :Float32;
  bandwidth @13 :Float32;
  binwidth @14 :Float32;
}

struct Filterbank {
  sourceName @0 :Text;
  fch1 @1 :Float64;             # of the pixels that were cut out [MHz]
  foff @2 :Float64;             # [MHz]
  tstart @3 :Float64;           # [MJD]
  tsamp @4 :Float64;            # [s]
  ra @5 :Float64;               # [h]
  dec @6 :Float64;              # [deg]
  telescopeId @7 :Int32;
  numTimesteps @8 :Int32;
  numChannels @9 :Int32;
  data @10 :List(Float32);      # [time][channel]
  coarseChannel @11 :Int32;
  startChannel @12 :Int32;
  beam @13 :Int32;
}

struct Hit {
  signal @0 :Signal;
  filterbank @1 :Filterbank;
}

struct CoarseChannel {
  md @0 :Filterbank;
  hits @1 :List(Signal);
}

struct Scan {
  coarseChannels @0 :List(CoarseChannel);
  md @1 :Filterbank;
}

struct ObservationTarget {
  scans @0 :List(Scan);
}

struct Cadence {
  observations @0 :List(ObservationTarget);
}
