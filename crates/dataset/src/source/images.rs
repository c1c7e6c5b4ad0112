//! Image files of a folder and those below, by name. They are decoded when a recipe asks for their pixels.

use std::fs;
use std::path::{Path, PathBuf};

use super::{RawRow, Rows};
use crate::limits::{MAX_FILES, MAX_FOLDER_DEPTH};
use crate::{DatasetError, Value};

const ENDINGS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];

pub(super) struct ImageRows {
    folder: PathBuf,
    /// Relative to the folder, last one first.
    files: Vec<PathBuf>,
}

impl ImageRows {
    pub(super) fn open(folder: &Path) -> Result<Self, DatasetError> {
        let mut files = Vec::new();
        list(folder, Path::new(""), 0, &mut files)?;
        files.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Self { folder: folder.to_owned(), files })
    }
}

impl Rows for ImageRows {
    fn next(&mut self) -> Result<Option<RawRow>, DatasetError> {
        Ok(self.files.pop().map(|file| {
            let name = file.display().to_string();
            let fields = vec![
                ("image".to_owned(), Value::Image(self.folder.join(file))),
                ("name".to_owned(), Value::Text(name.clone())),
            ];
            RawRow { place: name, fields: Ok(fields) }
        }))
    }
}

/// Adds the images of `folder`/`below`. Links to folders are not followed: they may lead in circles.
fn list(folder: &Path, below: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), DatasetError> {
    let path = folder.join(below);
    if depth > MAX_FOLDER_DEPTH {
        let (got, limit) = (depth as u64, MAX_FOLDER_DEPTH as u64);
        return Err(DatasetError::Limit { what: "folders in folders", got, limit });
    }
    for entry in fs::read_dir(&path).map_err(DatasetError::io(&path))? {
        let entry = entry.map_err(DatasetError::io(&path))?;
        let file = below.join(entry.file_name());
        if entry.file_type().map_err(DatasetError::io(&path))?.is_dir() {
            list(folder, &file, depth + 1, files)?;
        } else if is_image(&file) {
            if files.len() == MAX_FILES {
                let limit = MAX_FILES as u64;
                return Err(DatasetError::Limit { what: "images of a folder", got: limit + 1, limit });
            }
            files.push(file);
        }
    }
    Ok(())
}

fn is_image(file: &Path) -> bool {
    file.extension()
        .and_then(|ending| ending.to_str())
        .is_some_and(|ending| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}
