import type { TargetObject } from './target.ts';

/** A page of a list. */
export interface ListedPage {
  readonly objects: readonly TargetObject[];
  readonly next: string | undefined;
}

/** Reads the answer to ListObjectsV2: keys come percent-encoded, the rest is plain. Undefined when it is no such answer. */
export function readPage(text: string): ListedPage | undefined {
  if (!/<ListBucketResult[\s>]/.test(text)) return undefined;
  const entries = [...text.matchAll(/<Contents>(.*?)<\/Contents>/gs)].map(([, inside = '']) => inside);
  const objects = entries.map((inside) => ({ path: keyIn(inside, 'Key'), bytes: Number(tagOf(inside, 'Size')) }));
  if (objects.some(({ bytes }) => !Number.isSafeInteger(bytes))) return undefined;
  const next = tagOf(text, 'IsTruncated') === 'true' ? tagOf(text, 'NextContinuationToken') : undefined;
  return { objects, next };
}

/** An upload in parts that was begun, and is neither finished nor ended. */
interface Upload {
  readonly key: string;
  readonly uploadId: string;
  /** By the server's clock, epoch ms; NaN where it does not say. */
  readonly begunAt: number;
}

/** A page of such uploads, and the query of the next one. */
export interface UploadsPage {
  readonly uploads: readonly Upload[];
  readonly next: Readonly<Record<string, string>> | undefined;
}

/** Reads a page of the answer to ListMultipartUploads. */
export function readUploads(text: string): UploadsPage {
  const uploads = [...text.matchAll(/<Upload>(.*?)<\/Upload>/gs)].map(([, inside = '']) => ({
    key: keyIn(inside, 'Key'),
    uploadId: tagOf(inside, 'UploadId') ?? '',
    begunAt: Date.parse(tagOf(inside, 'Initiated') ?? ''),
  }));
  const [key, id] = [keyIn(text, 'NextKeyMarker'), tagOf(text, 'NextUploadIdMarker') ?? ''];
  const isMore = tagOf(text, 'IsTruncated') === 'true' && key !== '';
  return { uploads, next: isMore ? { 'key-marker': key, ...(id && { 'upload-id-marker': id }) } : undefined };
}

/** A key that is no text in UTF-8 is none of ours. */
function keyIn(inside: string, name: string): string {
  const key = tagOf(inside, name) ?? '';
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}

const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };

/** The text of the first element of that name, which has neither attributes nor elements inside. */
export function tagOf(text: string, name: string): string | undefined {
  const inside = new RegExp(`<${name}>([^<]*)</${name}>`).exec(text)?.[1];
  return inside?.replaceAll(/&(lt|gt|quot|apos|amp);/g, (_, entity: string) => ENTITIES[entity]!);
}

/** What CompleteMultipartUpload is asked with: the parts in their order, by their ETags. */
export function completion(tags: readonly string[]): string {
  const parts = tags.map((tag, index) => {
    const etag = tag.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
    return `<Part><PartNumber>${index + 1}</PartNumber><ETag>${etag}</ETag></Part>`;
  });
  return `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`;
}
