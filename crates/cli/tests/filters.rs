//! `helmholtz filters`: its sheets have the values of the weights, and what is refused.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use safetensors::SafeTensors;
use serde_json::Value;

use crate::common::{fail, succeed};

/// Trains a machine for some steps and returns its connections as `export` writes them: `[d, m]`, row by row.
fn train(folder: &Path, name: &str, hidden: usize, more: &[&str]) -> Vec<f32> {
    let hidden = format!("model.hidden={hidden}");
    let own = ["train", "--model", "rbm", "--set", &hidden, "--steps", "40", "--lr", "0.02", "--quiet"];
    succeed(folder, &[&own[..], &["--out", name], more].concat());
    let file = format!("{name}.safetensors");
    succeed(folder, &["export", name, &file]);
    let bytes = fs::read(folder.join(file)).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let weight = tensors.tensor("weight").unwrap();
    weight.data().as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect()
}

/// The connections of a unit of `m`.
fn filter(weight: &[f32], m: usize, unit: usize) -> Vec<f32> {
    weight.iter().skip(unit).step_by(m).copied().collect()
}

fn norm(filter: &[f32]) -> f64 {
    filter.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>().sqrt()
}

/// A grey picture.
struct Grey {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

fn read(path: &Path) -> Grey {
    let mut reader = png::Decoder::new(BufReader::new(File::open(path).unwrap())).read_info().unwrap();
    assert_eq!(reader.info().color_type, png::ColorType::Grayscale);
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    Grey { width: frame.width as usize, height: frame.height as usize, pixels }
}

/// Checks the tile whose first pixel is at (`top`, `left`): each value of a filter in rows of `width`, on its own scale.
fn check_tile(sheet: &Grey, [top, left]: [usize; 2], filter: &[f32], (width, scale): (usize, usize)) {
    let largest = filter.iter().fold(0f32, |most, w| most.max(w.abs()));
    for (i, w) in filter.iter().enumerate() {
        let expected = (0.5 + 0.5 * f64::from(*w) / f64::from(largest)) * 255.0;
        for [y, x] in [[0, 0], [scale - 1, scale - 1]] {
            let (y, x) = (top + i / width * scale + y, left + i % width * scale + x);
            let found = f64::from(sheet.pixels[y * sheet.width + x]);
            // A pixel is rounded to a whole number.
            assert!((found - expected).abs() < 0.51, "value {i}: {found}, expected {expected}");
        }
    }
}

#[test]
fn a_sheet_shows_the_connections_of_each_unit_on_its_own_scale() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let weight = train(folder, "run", 5, &["--dataset", "lines/3x3"]);
    assert_eq!(weight.len(), 9 * 5);
    succeed(folder, &["filters", "run", "--order", "index", "--scale", "4"]);
    let sheet = read(&folder.join("run/samples/filters.png"));
    // Five tiles of 12 x 12 pixels with gaps of two, three in a row.
    assert_eq!([sheet.width, sheet.height], [2 + 3 * 14, 2 + 2 * 14]);
    for unit in 0..5 {
        let place = [2 + unit / 3 * 14, 2 + unit % 3 * 14];
        check_tile(&sheet, place, &filter(&weight, 5, unit), (3, 4));
    }

    // By norm, which is the default, and only the first three.
    let text = succeed(folder, &["filters", "run", "--units", "3", "--out", "three.png", "--json"]);
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((found["file"].as_str(), found["order"].as_str()), (Some("three.png"), Some("norm")));
    let units = found["units"].as_array().unwrap();
    let sheet = read(&folder.join("three.png"));
    // Small pictures are enlarged: 9 pixels for each value, two tiles in a row.
    assert_eq!([sheet.width, sheet.height, units.len()], [2 + 2 * 29, 2 + 2 * 29, 3]);
    let mut norms: Vec<f64> = (0..5).map(|unit| norm(&filter(&weight, 5, unit))).collect();
    norms.sort_by(|a, b| b.total_cmp(a));
    for (i, unit) in units.iter().enumerate() {
        let own = filter(&weight, 5, unit["unit"].as_u64().unwrap() as usize);
        let number = |key: &str| unit[key].as_f64().unwrap();
        assert!((number("norm") - norms[i]).abs() < 1e-6 && (norm(&own) - norms[i]).abs() < 1e-6, "{text}");
        let largest = own.iter().fold(0f32, |most, w| most.max(w.abs()));
        assert!((number("largest") - f64::from(largest)).abs() < 1e-6, "{text}");
        check_tile(&sheet, [2 + i / 2 * 29, 2 + i % 2 * 29], &own, (3, 9));
    }

    // More units than there are, from a weight file and without the data of the run.
    let whole = ["--units", "1000", "--out"];
    succeed(folder, &[&["filters", "run"], &whole[..], &["a.png"]].concat());
    let of_file = ["filters", "--weights", "run.safetensors", "--config", "run/run.toml"];
    succeed(folder, &[&of_file[..], &whole, &["b.png"]].concat());
    assert_eq!(fs::read(folder.join("a.png")).unwrap(), fs::read(folder.join("b.png")).unwrap());
}

#[test]
fn rows_that_are_no_pictures_give_strips_whatever_the_visible_units() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows: String = (0..120).map(|i| ["1,0,0,0,1,0\n", "0,0,1,1,0,0\n", "0,1,0,0,0,1\n"][i % 3]).collect();
    fs::write(folder.join("categories.csv"), rows).unwrap();
    let rows: String =
        (0..120u32).map(|i| format!("{:.3},{:.3},0.5\n", f64::from(i) / 120.0, 0.25)).collect();
    fs::write(folder.join("numbers.csv"), rows).unwrap();
    let softmax = ["--set", "model.visible=softmax", "--set", "model.categories=3"];
    for (name, data, width, units) in [
        ("bits", "file:categories.csv", 6, &[][..]),
        ("softmax", "file:categories.csv", 6, &softmax),
        ("gaussian", "file:numbers.csv", 3, &["--set", "model.visible=gaussian"]),
        ("relu", "file:numbers.csv", 3, &["--set", "model.visible=relu"]),
    ] {
        let weight = train(folder, name, 4, &[&["--dataset", data], units].concat());
        succeed(folder, &["filters", name, "--order", "index", "--scale", "2"]);
        let sheet = read(&folder.join(name).join("samples/filters.png"));
        // One strip below the other.
        assert_eq!([sheet.width, sheet.height], [2 + 2 * width + 2, 2 + 4 * 4], "{name}");
        for unit in 0..4 {
            check_tile(&sheet, [2 + unit * 4, 2], &filter(&weight, 4, unit), (width, 2));
        }
    }
    // The data of the run may be gone.
    fs::remove_file(folder.join("numbers.csv")).unwrap();
    succeed(folder, &["filters", "relu"]);
}

#[test]
fn what_has_no_filters_or_makes_no_sense_ends_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder, "run", 3, &["--dataset", "lines/3x3"]);
    for (more, words) in [
        (&["--units", "0"][..], "--units 0: must be at least 1"),
        (&["--units", "-1"], "--units -1: must not be negative"),
        (&["--order", "nrom"], "--order nrom: unknown; known: norm, index; did you mean `norm`?"),
        (&["--out", "a.npy"], "--out a.npy: the file must end in .png"),
        (&["--out", "no/a.png"], "no is not a folder; create it first"),
        (&["--scale", "0"], "--scale 0: must be at least 1"),
        (&["--scale", "65"], "--scale 65: must be at most 64"),
        (&["--epoch", "99"], "99"),
    ] {
        fail(folder, &[&["filters", "run"], more].concat(), 2, &[words]);
    }
    let small = ["--dataset", "lines/3x3", "--steps", "2", "--set", "train.final_samples=5", "--quiet"];
    let no_samples = ["--dataset", "lines/3x3", "--steps", "2", "--quiet"];
    for (name, model, flags) in [
        ("sbn", &["--layers", "3"][..], &small[..]),
        ("vae", &["--layers", "2", "--set", "model.bodies=[[4]]"], &small),
        ("mob", &[], &no_samples),
    ] {
        succeed(folder, &[&["train", "--model", name, "--out", name], model, flags].concat());
        let message = fail(folder, &["filters", name], 2, &["the model has no filters", "--model rbm"]);
        let after = message.trim_end().lines().skip_while(|line| line.starts_with("weights of epoch"));
        assert_eq!(after.count(), 1, "one sentence: {message}");
        assert!(!folder.join(name).join("samples/filters.png").exists());
    }
    // All that was written is in the run folders.
    let found: BTreeSet<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(found, ["mob", "run", "run.safetensors", "sbn", "vae"].map(Into::into).into());
}
