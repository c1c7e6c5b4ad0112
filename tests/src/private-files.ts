/** A page's private file system (OPFS) as a test sees and changes it: the folder that the core keeps its blobs in. */
import type { Page } from 'playwright-core';

const FOLDER = 'shoal-cache';

export interface StoredFile {
  readonly name: string;
  readonly bytes: number;
  /** SHA-256 of the contents, hexadecimal. */
  readonly sha256: string;
}

/** Blobs that are stored, the largest first. */
export function storedBlobs(page: Page): Promise<readonly StoredFile[]> {
  return page.evaluate(async (folderName) => {
    const root = await navigator.storage.getDirectory();
    const folder = await root.getDirectoryHandle(folderName, { create: true });
    const files: { name: string; bytes: number; sha256: string }[] = [];
    for await (const handle of folder.values()) {
      if (!(handle instanceof FileSystemFileHandle) || handle.name === 'order') continue;
      const contents = await (await handle.getFile()).arrayBuffer();
      const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', contents));
      const sha256 = [...hash].map((byte) => byte.toString(16).padStart(2, '0')).join('');
      files.push({ name: handle.name, bytes: contents.byteLength, sha256 });
    }
    return files.sort((a, b) => b.bytes - a.bytes);
  }, FOLDER);
}

/** Flips one bit in the middle of an entry. */
export async function flipBit(page: Page, name: string): Promise<void> {
  await page.evaluate(
    async ([folderName, fileName]) => {
      const root = await navigator.storage.getDirectory();
      const file = await (await root.getDirectoryHandle(folderName)).getFileHandle(fileName);
      const bytes = new Uint8Array(await (await file.getFile()).arrayBuffer());
      const middle = bytes.length >> 1;
      const writable = await file.createWritable();
      bytes[middle] = (bytes[middle] ?? 0) ^ 1;
      await writable.write(bytes);
      await writable.close();
    },
    [FOLDER, name] as const,
  );
}

export async function removeEntry(page: Page, name: string): Promise<void> {
  await page.evaluate(
    async ([folderName, fileName]) => {
      const root = await navigator.storage.getDirectory();
      await (await root.getDirectoryHandle(folderName)).removeEntry(fileName);
    },
    [FOLDER, name] as const,
  );
}

/** Takes so many bytes of the site's quota for something else. */
export async function fillUp(page: Page, bytes: number): Promise<void> {
  await page.evaluate(async (length) => {
    const root = await navigator.storage.getDirectory();
    const writable = await (await root.getFileHandle('something-else', { create: true })).createWritable();
    await writable.write(new Uint8Array(length));
    await writable.close();
  }, bytes);
}
