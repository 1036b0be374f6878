//! Contracts across crates. One program, since linking each file's tests alone takes longer than they do.

mod nets;

mod adaptive;
mod ais;
mod bidirectional;
mod coupled;
mod court;
mod gibbs;
mod layers;
mod mixture;
mod models;
mod ppca;
mod scores;
mod strategies;
mod suspect;
mod vae;
