//! The real binary: commands, bad input, resuming. One program, since linking each file's tests alone takes longer than
//! they do.

mod common;

mod bad_input;
mod best_epoch;
mod bidirectional;
mod commands;
mod compare;
mod devices;
mod faults;
mod fetch;
mod fetch_hostile;
mod json_keys;
mod limits;
mod mixture;
mod own_data;
mod resume;
mod run_folder;
mod shards;
mod stages;
mod suspect;
mod terminal;
mod travel;
mod vae;
mod weights;
