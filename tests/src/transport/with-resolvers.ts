/**
 * `Promise.withResolvers` (ES2024), which js-libp2p 3 uses and Node 20, the oldest that we build with, lacks. Imported
 * before js-libp2p; with newer versions of Node it does nothing.
 */
Promise.withResolvers ??= function withResolvers<T>(): PromiseWithResolvers<T> {
  let resolve!: PromiseWithResolvers<T>['resolve'];
  let reject!: PromiseWithResolvers<T>['reject'];
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
};
