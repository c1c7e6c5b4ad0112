//! Real files, made by `make_fixtures.py` with the Python libraries that consumers' files come from.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use shoal_dataset::{
    Array, Column, ColumnKind, DatasetError, ElementType, Filter, ImageInput, InOrder, Input, Layout, OutputValue,
    Padding, Recipe, Resize, ResultRow, ResultWriter, Row, RowError, ShardOptions, Shards, Source, Step, TextInput,
    Tokenizer, Value, search,
};

fn fixture(name: &str) -> PathBuf {
    Path::new("tests/fixtures").join(name)
}

/// All rows of a source, and what ended it.
fn rows(path: &Path) -> (Vec<Result<Row, RowError>>, Option<DatasetError>) {
    let mut source = match Source::open(path, None) {
        Ok(source) => source,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut rows = Vec::new();
    loop {
        match source.next_row() {
            Ok(Some(row)) => rows.push(row),
            Ok(None) => return (rows, None),
            Err(error) => return (rows, Some(error)),
        }
    }
}

fn good(path: &Path) -> Vec<Row> {
    let (rows, end) = rows(path);
    assert!(end.is_none(), "{}: {end:?}", path.display());
    rows.into_iter().map(Result::unwrap).collect()
}

fn text_input(second: Option<&str>) -> Recipe {
    let input = TextInput {
        column: "text".to_owned(),
        second_column: second.map(str::to_owned),
        tokenizer: Tokenizer::open(&fixture("tokenizer.json")).expect("a tokenizer"),
        ids: "ids".to_owned(),
        mask: Some("mask".to_owned()),
        token_types: Some("types".to_owned()),
        max_tokens: 12,
        padding: Padding::MultipleOf(8),
    };
    Recipe::new(vec![Input::Text(Box::new(input))]).expect("a recipe")
}

#[test]
fn pandas_tables_read_alike_in_every_format() {
    let texts = ["The shoal turns as one.", "Zwölf Boxkämpfer, \"quoted\"", "", "line one\nline two"];
    for name in
        ["table.jsonl", "table.csv", "table.csv.gz", "table-snappy.parquet", "table-gzip.parquet", "table-zstd.parquet"]
    {
        let rows = good(&fixture(name));
        assert_eq!(rows.len(), 4, "{name}");
        for (row, text) in rows.iter().zip(texts) {
            let expected = if text.is_empty() { Value::Null } else { Value::Text(text.to_owned()) };
            assert_eq!(row.get("text"), Some(&expected), "{name}");
        }
        if !name.contains("csv") {
            assert_eq!(rows[3].get("size"), Some(&Value::Integer(4)), "{name}");
            assert_eq!(rows[3].get("weight"), Some(&Value::Float(-2.25)), "{name}");
            assert_eq!(rows[1].get("vector"), Some(&Value::Numbers(Array::vector(vec![1.5, 2.0]))), "{name}");
        }
    }
    assert_eq!(good(&fixture("table-snappy.parquet"))[3].place, "row group 1, row 0");
}

#[test]
fn numpy_arrays_read_as_rows() {
    for (name, element) in [
        ("f4", ElementType::F32),
        ("f8", ElementType::F32),
        ("f2", ElementType::F32),
        ("i8", ElementType::I32),
        ("u1", ElementType::I32),
    ] {
        let rows = good(&fixture(&format!("{name}.npy")));
        assert_eq!(rows.len(), 2);
        let Some(Value::Numbers(array)) = rows[1].get("data") else { panic!("{name}: {rows:?}") };
        assert_eq!((array.shape(), array.data().element_type()), (&[3, 2][..], element), "{name}");
        let numbers: Vec<f32> = match (array.as_f32(), array.as_i32()) {
            (Some(floats), _) => floats.to_vec(),
            (_, integers) => integers.unwrap().iter().map(|&integer| integer as f32).collect(),
        };
        assert_eq!(numbers, [6.0, 7.0, 8.0, 9.0, 10.0, 11.0], "{name}");
    }
}

#[test]
fn a_header_that_promises_too_much_and_a_line_without_an_end_take_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let npy = folder.path().join("lies.npy");
    let mut bytes = fs::read(fixture("f4.npy")).unwrap();
    let text = String::from_utf8_lossy(&bytes[10..128]).replace("(2, 3, 2), }", "(99999, 3, 2), }");
    bytes.splice(10..128, text.bytes().take(118).collect::<Vec<_>>());
    fs::write(&npy, bytes).unwrap();
    let (read, end) = rows(&npy);
    assert_eq!(read.len(), 2);
    assert!(matches!(end, Some(DatasetError::Broken { .. })), "{end:?}");

    for (name, start, next) in [("long.csv", "a,b\n", "1,2"), ("long.jsonl", "", "{\"a\": 1}")] {
        let path = folder.path().join(name);
        let mut file = BufWriter::new(File::create(&path).unwrap());
        file.write_all(start.as_bytes()).unwrap();
        (0..100).for_each(|_| file.write_all(&[b'x'; 1 << 20]).unwrap());
        write!(file, "\n{next}\n").unwrap();
        file.into_inner().unwrap();
        let (read, end) = rows(&path);
        assert!(end.is_none() && read.len() == 2, "{name}: {end:?}");
        assert!(read[0].as_ref().unwrap_err().to_string().contains("the limit is 16777216"), "{name}");
        assert_eq!(read[1].as_ref().unwrap().index, 1, "{name}");
    }
}

#[test]
fn bad_rows_fail_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    fs::write(&path, b"{\"a\": 1}\nnonsense\n\n[1]\n\xff\n{\"a\": [[1], [2, 3]]}\n").unwrap();
    let (read, end) = rows(&path);
    assert!(end.is_none());
    let messages: Vec<_> =
        read.iter().map(|row| row.as_ref().map_or_else(RowError::to_string, |row| row.place.clone())).collect();
    assert_eq!(messages[0], "line 1");
    assert!(messages[1].starts_with("row 1 (line 2): not a JSON object"), "{messages:?}");
    assert_eq!(messages[2], "row 2 (line 4): not a JSON object: another value");
    assert_eq!(messages[3], "row 3 (line 5): not UTF-8");
    assert_eq!(read[4].as_ref().unwrap().get("a"), Some(&Value::Unusable("a ragged list")));
}

#[test]
fn cut_off_and_garbled_files_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "table.jsonl",
        "table.csv.gz",
        "table-snappy.parquet",
        "table-zstd.parquet",
        "f4.npy",
        "images/b.png",
        "images/c.webp",
        "images/below/a.jpg",
    ] {
        let bytes = fs::read(fixture(name)).unwrap();
        let ending = name.rsplit('/').next().unwrap();
        let image = name.starts_with("images");
        let below = folder.path().join(name.replace(['/', '.'], "-"));
        fs::create_dir(&below).unwrap();
        let path = below.join(ending);
        for at in (0..bytes.len()).step_by(bytes.len().div_ceil(60)) {
            let mut garbled = bytes.clone();
            garbled[at] ^= 0x55;
            for broken in [&bytes[..at], &garbled] {
                fs::write(&path, broken).unwrap();
                let (read, _) = rows(if image { &below } else { &path });
                for row in read.iter().flatten().filter(|_| image) {
                    let _ = pixels(Filter::Bilinear, Layout::ChannelsFirst).prepare(row);
                }
            }
        }
    }
}

fn pixels(filter: Filter, layout: Layout) -> Recipe {
    let input = ImageInput {
        input: "pixels".to_owned(),
        column: "image".to_owned(),
        folder: PathBuf::new(),
        resize: Some(Resize::ShortSide(24)),
        filter,
        crop: Some((20, 20)),
        scale: 1.0,
        mean: [0.0; 3],
        std: [1.0; 3],
        layout,
    };
    Recipe::new(vec![Input::Image(input)]).expect("a recipe")
}

#[test]
fn images_are_resized_as_pil_does_within_one_level() {
    let rows = good(&fixture("images"));
    let names: Vec<_> = rows.iter().map(|row| &*row.place).collect();
    assert_eq!(names, ["b.png", "below/a.jpg", "c.webp"]);
    for (filter, name) in [(Filter::Bilinear, "bilinear.npy"), (Filter::Bicubic, "bicubic.npy")] {
        let expected = good(&fixture(name));
        let Some(Value::Numbers(expected)) = expected[0].get("data") else { panic!("{expected:?}") };
        for row in [&rows[0], &rows[2]] {
            let array = &pixels(filter, Layout::ChannelsFirst).prepare(row).unwrap()["pixels"];
            assert_eq!(array.shape(), [3, 20, 20]);
            let last = &pixels(filter, Layout::ChannelsLast).prepare(row).unwrap()["pixels"];
            assert_eq!(last.shape(), [20, 20, 3]);
            let of = |channel: usize, pixel: usize| array.as_f32().unwrap()[channel * 400 + pixel];
            let moved: Vec<f32> = (0..400).flat_map(|pixel| (0..3).map(move |channel| of(channel, pixel))).collect();
            assert_eq!(last.as_f32().unwrap(), moved);
            let (ours, theirs) = (array.as_f32().unwrap(), expected.as_i32().unwrap());
            let worst = ours.iter().zip(theirs).map(|(ours, &theirs)| (ours - theirs as f32).abs()).fold(0.0, f32::max);
            assert!(worst <= 1.0, "{name}: {worst}");
        }
    }
}

#[test]
fn tokens_are_those_of_the_python_library() {
    let cases: Json = serde_json::from_slice(&fs::read(fixture("tokens.json")).unwrap()).unwrap();
    for (kind, second) in [("single", None), ("pairs", Some("second"))] {
        for case in cases[kind].as_array().unwrap() {
            let field = |name: &str| (name.to_owned(), Value::Text(case[name].as_str().unwrap_or("").to_owned()));
            let row = Row { index: 0, place: String::new(), fields: vec![field("text"), field("second")] };
            let arrays = text_input(second).prepare(&row).unwrap();
            let ids: Vec<i32> = case["ids"].as_array().unwrap().iter().map(|id| id.as_i64().unwrap() as i32).collect();
            let got = arrays["ids"].as_i32().unwrap();
            assert_eq!(got[..ids.len()], ids, "{case}");
            assert!(got[ids.len()..].iter().all(|&id| id == 0) && [8, 12].contains(&got.len()), "{case}");
            assert_eq!(arrays["mask"].as_i32().unwrap().iter().sum::<i32>() as usize, ids.len());
        }
    }
    let nothing = Row { index: 2, place: "line 4".to_owned(), fields: vec![("text".to_owned(), Value::Null)] };
    let message = text_input(None).prepare(&nothing).unwrap_err().to_string();
    assert_eq!(message, "row 2 (line 4): column text holds nothing, a text was expected");
}

#[test]
fn the_same_input_gives_the_same_shards_and_every_row_once() {
    let read = || {
        let options = ShardOptions { rows_per_shard: 2, window_rows: 100 };
        let source = Source::open(&fixture("table.jsonl"), None).unwrap();
        let mut shards = Shards::new(source, text_input(None), options).unwrap();
        let mut steps = Vec::new();
        while let Some(step) = shards.next_step().unwrap() {
            steps.push(step);
        }
        steps
    };
    let steps = read();
    assert_eq!(steps, read());
    let mut seen = Vec::new();
    for step in &steps {
        match step {
            Step::Failed(error) => seen.push(error.index),
            Step::Shard(shard) => {
                assert_eq!(shard.arrays["ids"].shape(), [shard.rows.len() as u32, shard.bucket.unwrap()]);
                seen.extend(&shard.rows);
            }
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3]);
}

fn result(row: u64, numbers: Option<[f32; 2]>) -> ResultRow {
    let values = numbers
        .map(|numbers| BTreeMap::from([("y".to_owned(), OutputValue::Numbers(Array::vector(numbers.to_vec())))]));
    ResultRow { row, values: values.ok_or_else(|| "no \"text\", sorry".to_owned()) }
}

#[test]
fn results_are_written_in_order_resumed_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let kind = ColumnKind::Numbers { element_type: ElementType::F32, shape: Some(vec![2]) };
    let columns = vec![Column { name: "y".to_owned(), kind }];
    for name in ["out.jsonl", "out.csv", "out.npy", "out.parquet"] {
        let path = folder.path().join(name);
        let mut writer = InOrder::new(ResultWriter::create(&path, columns.clone()).unwrap());
        writer.put(result(1, None)).unwrap();
        writer.put(result(0, Some([0.5, 1.5]))).unwrap();
        if name != "out.parquet" {
            writer.flush().unwrap();
            drop(writer);
            assert!(ResultWriter::resume(&path, columns.clone(), 3).is_err());
            writer = InOrder::new(ResultWriter::resume(&path, columns.clone(), 1).unwrap());
            writer.put(result(1, None)).unwrap();
        }
        assert!(!path.exists());
        writer.put(result(2, Some([-2.0, 0.1]))).unwrap();
        writer.finish().unwrap();
        let rows = good(&path);
        assert_eq!(rows.len(), 3, "{name}");
        if name == "out.csv" {
            assert_eq!(
                fs::read_to_string(&path).unwrap(),
                "row,y0,y1,error\n0,0.5,1.5,\n1,,,\"no \"\"text\"\", sorry\"\n2,-2,0.1,\n"
            );
            continue;
        }
        let column = if name == "out.npy" { "data" } else { "y" };
        assert_eq!(rows[2].get(column), Some(&Value::Numbers(Array::vector(vec![-2.0, 0.1]))), "{name}");
        let found = search::nearest(&mut Source::open(&path, None).unwrap(), Some(column), &[1.0, 3.0], 2).unwrap();
        assert_eq!(found.neighbours.iter().map(|near| near.row).collect::<Vec<_>>(), [0, 2], "{name}");
        assert_eq!(found.skipped_rows, 1, "{name}");
    }
}
