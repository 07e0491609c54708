import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { PackageView } from '@sallyport/security-api';
import { releases } from '@sallyport/security-api/admin';
import { type AdminClient, AdminError } from '@sallyport/security-client/admin';

/** Bytes of a package that are sent at once. */
const PART_BYTES = 2 * 1024 * 1024;
/** How often an upload begins again: where packages are in a bucket, its parts are at one node until they are whole. */
const BEGINS = 3;

/** Sends a package in parts and gives what it is. What is there of it already is not sent again. @throws AdminError */
export async function uploadPackage(admin: AdminClient, path: string): Promise<PackageView> {
  const file = await open(path, 'r');
  try {
    const hash = createHash('sha256');
    for await (const chunk of file.createReadStream({ autoClose: false })) hash.update(chunk);
    const sha256 = hash.digest('hex');
    for (let left = BEGINS - 1; ; left--) {
      try {
        return await sendParts(admin, file, sha256);
      } catch (error) {
        const isLost = error instanceof AdminError && error.code === 'ERR_ACCESS_CONFLICT';
        if (!isLost || left === 0) throw error;
      }
    }
  } finally {
    await file.close();
  }
}

async function sendParts(admin: AdminClient, file: FileHandle, sha256: string): Promise<PackageView> {
  const { size: bytes } = await file.stat();
  for (let at = 0; ; ) {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(PART_BYTES), 0, PART_BYTES, at);
    const content = buffer.subarray(0, bytesRead).toString('base64url');
    const answer = await admin.call(releases.upload, { params: { sha256 }, body: { at, bytes, content } });
    if (answer.package) return answer.package;
    at = answer.there;
  }
}
