// What wasm-bindgen makes of webrtc_echo.rs, with --target web.
import init, { echo } from './webrtc_echo.js';

self.onmessage = async ({ data: { port, address } }) => {
  await init();
  self.postMessage(await echo(port, address, 'hello out of a worker').catch((error) => `failed: ${error}`));
};
