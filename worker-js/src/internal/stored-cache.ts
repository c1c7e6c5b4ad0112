/**
 * What the core has stored in this site's private file system, as the page sees it: how much it is, and gone when the
 * visitor says so. Works whether or not a volunteer runs; a core that runs takes missing entries for what they are.
 */

/** The core's folder. */
const FOLDER = 'shoal-cache';

/** An entry that is being written cannot be removed; writing one takes well under a second. */
const ATTEMPTS = 40;
const PAUSE_MS = 50;

/** Bytes stored; 0 where the browser has no private file system. */
export async function cacheUsage(): Promise<number> {
  const root = await privateFiles();
  if (root === null) return 0;
  try {
    const folder = await root.getDirectoryHandle(FOLDER);
    let bytes = 0;
    for await (const handle of folder.values()) bytes += await size(handle);
    return bytes;
  } catch (thrown) {
    if (isNamed(thrown, 'NotFoundError')) return 0;
    throw thrown;
  }
}

/** Removes everything that is stored. A volunteer that runs goes on, and stores what it receives from then on. */
export async function clearCache(): Promise<void> {
  const root = await privateFiles();
  if (root === null) return;
  for (let attempt = 1; ; attempt += 1) {
    try {
      await root.removeEntry(FOLDER, { recursive: true });
      return;
    } catch (thrown) {
      if (isNamed(thrown, 'NotFoundError')) return;
      if (!isNamed(thrown, 'NoModificationAllowedError') || attempt === ATTEMPTS) throw thrown;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

async function size(handle: FileSystemHandle): Promise<number> {
  try {
    return handle instanceof FileSystemFileHandle ? (await handle.getFile()).size : 0;
  } catch (thrown) {
    // Evicted while this looked.
    if (isNamed(thrown, 'NotFoundError')) return 0;
    throw thrown;
  }
}

/** `null` in browsers and windows without one. */
async function privateFiles(): Promise<FileSystemDirectoryHandle | null> {
  const { storage } = navigator as { readonly storage?: Partial<StorageManager> };
  try {
    return (await storage?.getDirectory?.()) ?? null;
  } catch {
    return null;
  }
}

function isNamed(thrown: unknown, name: string): boolean {
  return thrown instanceof DOMException && thrown.name === name;
}
