/** The bindings of `crates/transport/examples/webrtc_peer`. Every method answers with milliseconds, or throws a text. */
declare module '#webrtc-peer' {
  export default function init(): Promise<unknown>;

  export class Tab {
    static connect(port: MessagePort, address: string, version: number): Promise<Tab>;
    readonly connectMs: number;
    readonly pingMs: number;
    echo(bytes: number): Promise<number>;
    download(blob: string, bytes: number): Promise<number>;
    upload(bytes: number): Promise<number>;
  }
}
