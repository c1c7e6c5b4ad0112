//! Compiles the protobuf schema with protox, so that no protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(["proto/onnx.proto"], ["proto"])?;
    prost_build::Config::new()
        // A weight stays a slice of the file's bytes.
        .bytes([".onnx.TensorProto.raw_data"])
        .boxed(".onnx.AttributeProto.t")
        .boxed(".onnx.AttributeProto.g")
        .compile_fds(descriptors)?;
    Ok(())
}
