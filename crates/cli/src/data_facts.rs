//! What a model needs to know of its data once it is trained.

use helmholtz_datasets::{DataSet, ImageShape};
use serde::{Deserialize, Serialize};

/// The data of a run without their values: enough to take its weights out of it and to draw from its model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFacts {
    /// `id@version`.
    #[serde(rename = "data")]
    pub protocol: String,
    /// The hash of the decoded values.
    #[serde(rename = "data_sha256")]
    pub sha256: String,
    /// The hash of the labels, where every split has some.
    #[serde(rename = "data_labels_sha256", default, skip_serializing_if = "Option::is_none")]
    pub labels_sha256: Option<String>,
    /// Height and width of a row as a picture; a height of 1 for rows that are no pictures.
    #[serde(rename = "data_shape")]
    shape: [usize; 2],
}

impl DataFacts {
    /// Of a set.
    pub fn of(data: &DataSet) -> Self {
        DataFacts {
            protocol: data.protocol(),
            sha256: data.data_sha256.clone(),
            labels_sha256: data.labels_sha256.clone(),
            shape: [data.shape.height, data.shape.width],
        }
    }

    /// How a row is laid out.
    pub fn shape(&self) -> ImageShape {
        let [height, width] = self.shape;
        ImageShape { height, width }
    }

    /// Whether there can be such rows: facts come from files.
    pub(crate) fn are_sound(&self) -> bool {
        let [height, width] = self.shape;
        height.checked_mul(width).is_some_and(|pixels| (1..=MOST_PIXELS).contains(&pixels))
    }
}

/// No row is wider.
const MOST_PIXELS: usize = 1 << 30;
