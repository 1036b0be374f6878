//! Tests of the real binary: commands, bad input, resuming. They are one program, because linking one for each file
//! would take longer than running the tests.

mod common;

mod advice;
mod bad_input;
mod best_epoch;
mod bidirectional;
mod commands;
mod compare;
mod conditional;
mod devices;
mod energy;
mod examples;
mod experts;
mod faults;
mod fetch;
mod fetch_hostile;
mod filters;
mod json_keys;
mod labels;
mod limits;
mod mixture;
mod own_data;
mod regimes;
mod report;
mod resume;
mod run_folder;
mod shards;
mod stages;
mod suspect;
mod terminal;
mod travel;
mod tune;
mod vae;
mod weights;
