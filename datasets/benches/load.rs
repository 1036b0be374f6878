//! The time to load a data set, and to get a batch of it.
//!
//! `load/…/cold` decompresses, parses and hashes the files; `warm` reads parsed copies. A batch is compared with a
//! plain copy of its bytes. Files are looked for where the tests look; benches whose files are missing are skipped.

use std::hint::black_box;
use std::path::PathBuf;

use burn::data::dataloader::DataLoader;
use burn::tensor::{Device, Tensor, TensorData};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use helmholtz_datasets::{Cache, Feed, Places, Plan, load_from};
use helmholtz_noise::Key;

fn load(c: &mut Criterion) {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let data_dir = std::env::var_os("HELMHOLTZ_DATA").map_or_else(beside, PathBuf::from);
    let copies = tempfile::tempdir().expect("a folder for parsed copies");
    let mut group = c.benchmark_group("load");
    group.sample_size(10);
    for id in ["mnist/binarized", "mnist/dynamic"] {
        for (name, cache) in [("cold", Cache::off()), ("warm", Cache::at(copies.path()))] {
            let places = Places { data_dir: Some(data_dir.clone()), cache };
            if let Err(error) = load_from(id, &places) {
                println!("skipped: {error}");
                continue;
            }
            let name = format!("{}/{name}", id.replace('/', "-"));
            group.bench_function(name, |b| {
                b.iter(|| load_from(id, &places).expect("it was there a moment ago"))
            });
        }
    }
}

fn batches(c: &mut Criterion) {
    const ROWS: usize = 10_000;
    const WIDTH: usize = 784;
    const BATCH: usize = 100;
    let device = Device::flex();
    let values: Vec<f32> = (0..ROWS * WIDTH).map(|i| (i % 7) as f32 / 7.0).collect();
    let mut group = c.benchmark_group("batch");
    group.throughput(Throughput::Bytes((4 * BATCH * WIDTH) as u64));
    // The same bytes, copied row by row from places equally far apart into new memory.
    group.bench_function("copy/100x784", |b| {
        let mut first = 0;
        b.iter(|| {
            let mut batch = Vec::with_capacity(BATCH * WIDTH);
            for row in 0..BATCH {
                let row = (first + row * 97) % ROWS;
                batch.extend_from_slice(&values[row * WIDTH..][..WIDTH]);
            }
            first += 1;
            black_box(batch)
        });
    });
    let x = Tensor::<2>::from_data(TensorData::new(values.clone(), [ROWS, WIDTH]), &device);
    let feed = Feed::new(x.into(), Plan { rows: ROWS, batch: BATCH, steps: u64::MAX / 2 }, Key::new(0), 0);
    for (name, feed) in
        [("feed/100x784", feed.clone()), ("feed-drawing-bits/100x784", feed.drawing_bits(Key::new(0)))]
    {
        group.bench_function(name, |b| {
            let mut epoch = feed.iter();
            b.iter(|| {
                let batch = epoch.next().unwrap_or_else(|| {
                    epoch = feed.iter();
                    epoch.next().expect("an epoch has batches")
                });
                black_box(batch.expect("the rows are in memory"))
            });
        });
    }
}

criterion_group!(benches, load, batches);
criterion_main!(benches);
