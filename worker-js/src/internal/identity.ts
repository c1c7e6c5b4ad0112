/**
 * The node key's seed, kept in IndexedDB so that a returning visitor is the same node and keeps what it earned. Where
 * the browser forbids storage the seed lives as long as the worker.
 */

const DATABASE = 'shoal';
const STORE = 'keys';
const KEY = 'node';
/** Bytes of an Ed25519 seed. */
const SEED_LEN = 32;

export async function nodeSeed(): Promise<Uint8Array> {
  const fresh = crypto.getRandomValues(new Uint8Array(SEED_LEN));
  try {
    const database = await open();
    try {
      return await loadOrStore(database, fresh);
    } finally {
      database.close();
    }
  } catch {
    return fresh;
  }
}

/** One transaction reads and, if there is none, writes: two tabs that start at once agree on one key. */
async function loadOrStore(database: IDBDatabase, fresh: Uint8Array): Promise<Uint8Array> {
  const transaction = database.transaction(STORE, 'readwrite');
  const store = transaction.objectStore(STORE);
  const stored: unknown = await requested(store.get(KEY));
  if (stored instanceof Uint8Array && stored.length === SEED_LEN) return stored;
  await requested(store.put(fresh, KEY));
  return fresh;
}

function open(): Promise<IDBDatabase> {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore(STORE);
  };
  return requested(request);
}

function requested<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('IndexedDB failed without saying why'));
  });
}
