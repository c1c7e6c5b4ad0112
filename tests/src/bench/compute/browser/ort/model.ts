/** An ONNX model under construction. Values go by name; operations are those of ONNX's opset 20. */
import { Message } from './proto.ts';

const IR_VERSION = 10;
const OPSET = 20;
/** Of `TensorProto.DataType`. */
const TYPES = { float: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9 } as const;
/** Of `AttributeProto.AttributeType`. */
const FLOAT = 1;
const INTEGER = 2;
const STRING = 3;
const INTEGERS = 7;

export type ElementType = keyof typeof TYPES;
export type Attribute = { readonly float: number } | { readonly integer: number } | { readonly string: string } | { readonly integers: readonly number[] };

export class Model {
  readonly #graph = new Message().text(2, 'bench');
  #names = 0;

  input(name: string, type: ElementType, shape: readonly number[]): string {
    this.#graph.message(11, valueInfo(name, type, shape));
    return name;
  }

  output(value: string, type: ElementType, shape: readonly number[]): void {
    this.#graph.message(12, valueInfo(value, type, shape));
  }

  constant(data: Float32Array | BigInt64Array, shape: readonly number[]): string {
    const name = this.#name();
    const tensor = new Message();
    for (const dim of shape) tensor.integer(1, dim);
    tensor.integer(2, data instanceof Float32Array ? TYPES.float : TYPES.int64);
    tensor.text(8, name).bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    this.#graph.message(5, tensor);
    return name;
  }

  scalar(value: number): string {
    return this.constant(Float32Array.of(value), []);
  }

  integers(...values: readonly number[]): string {
    return this.constant(BigInt64Array.from(values, BigInt), [values.length]);
  }

  node(operation: string, inputs: readonly string[], attributes: Readonly<Record<string, Attribute>> = {}, output = this.#name()): string {
    const node = new Message();
    for (const input of inputs) node.text(1, input);
    node.text(2, output).text(3, output).text(4, operation);
    for (const [name, value] of Object.entries(attributes)) node.message(5, attribute(name, value));
    this.#graph.message(1, node);
    return output;
  }

  encode(): Uint8Array {
    const opset = new Message().text(1, '').integer(2, OPSET);
    return new Message().integer(1, IR_VERSION).message(7, this.#graph).message(8, opset).encode();
  }

  #name(): string {
    this.#names += 1;
    return `v${String(this.#names)}`;
  }
}

function valueInfo(name: string, type: ElementType, shape: readonly number[]): Message {
  const dims = new Message();
  for (const dim of shape) dims.message(1, new Message().integer(1, dim));
  const tensor = new Message().integer(1, TYPES[type]).message(2, dims);
  return new Message().text(1, name).message(2, new Message().message(1, tensor));
}

function attribute(name: string, value: Attribute): Message {
  const made = new Message().text(1, name);
  if ('float' in value) return made.float(2, value.float).integer(20, FLOAT);
  if ('integer' in value) return made.integer(3, value.integer).integer(20, INTEGER);
  if ('string' in value) return made.text(4, value.string).integer(20, STRING);
  for (const integer of value.integers) made.integer(8, integer);
  return made.integer(20, INTEGERS);
}
