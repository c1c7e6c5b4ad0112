//! Prints the results of all exact vectors as JSON: `cargo run -p shoal-compute --example exact_vectors`. The output is
//! what `tests/vectors/exact/exact-1.json` holds; it may only change together with the class, to exact/2.

fn main() {
    let results = shoal_compute::vectors::run_all();
    let hashes: serde_json::Map<String, serde_json::Value> =
        results.into_iter().map(|vector| (vector.name, vector.blake3.into())).collect();
    let document = serde_json::json!({ "class": "exact/1", "blake3": hashes });
    println!("{}", serde_json::to_string_pretty(&document).expect("a map of strings is JSON"));
}
