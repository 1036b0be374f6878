//! Contract tests across crates. They form one program, because linking a program for each file takes longer than the
//! tests.

mod nets;

mod adaptive;
mod ais;
mod bidirectional;
mod calibration;
mod contrastive;
mod coupled;
mod court;
mod gibbs;
mod kernels;
mod layers;
mod mixture;
mod models;
mod ppca;
mod rbm;
mod scores;
mod strategies;
mod suspect;
mod vae;
mod without_chains;
