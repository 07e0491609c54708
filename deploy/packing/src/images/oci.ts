import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Layer, sha256 } from './layer.ts';

/** How a blob is named (OCI image specification 1.1, descriptor). */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** What is said of an image beside its layers. */
export interface ImageConfig {
  readonly created: string;
  readonly architecture: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** What made each layer, in their order. */
  readonly history: readonly string[];
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const EMPTY = 'application/vnd.oci.empty.v1+json';

/** A folder in the layout of the OCI image specification: images, and documents about them as referrers. Written by one process. */
export class ImageLayout {
  readonly #folder: string;
  readonly #manifests: Descriptor[] = [];

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(join(folder, 'blobs', 'sha256'), { recursive: true });
  }

  /** Adds an image under a reference like `localhost/sallyport/proxy:0.1.0`; gives its descriptor, whose digest names it. */
  addImage(
    reference: string,
    { created, architecture, config, history }: ImageConfig,
    layers: readonly Layer[],
  ): Descriptor {
    const said = {
      created,
      architecture,
      os: 'linux',
      config,
      rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => `sha256:${diffId}`) },
      history: history.map((comment) => ({ created, created_by: 'npm run images', comment })),
    };
    const manifest = this.#add(MANIFEST, {
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: this.#add('application/vnd.oci.image.config.v1+json', said),
      layers: layers.map(({ bytes }) => this.#put('application/vnd.oci.image.layer.v1.tar+gzip', bytes)),
    });
    // podman reads the first, containerd the second.
    const annotations = { 'org.opencontainers.image.ref.name': reference, 'io.containerd.image.name': reference };
    this.#manifests.push({ ...manifest, annotations });
    return manifest;
  }

  /** Attaches a document to an image (manifest with `subject`); registries list it among its referrers. */
  attach(subject: Descriptor, artifactType: string, text: string): void {
    const manifest = this.#add(MANIFEST, {
      schemaVersion: 2,
      mediaType: MANIFEST,
      artifactType,
      config: this.#put(EMPTY, Buffer.from('{}')),
      layers: [this.#put(artifactType, Buffer.from(text))],
      subject,
    });
    this.#manifests.push({ ...manifest, artifactType });
  }

  /** Writes the index: what was added is in the layout from now on. */
  close(): void {
    const index = {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: this.#manifests,
    };
    writeFileSync(join(this.#folder, 'index.json'), JSON.stringify(index));
    writeFileSync(join(this.#folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  }

  #add(mediaType: string, content: unknown): Descriptor {
    return this.#put(mediaType, Buffer.from(JSON.stringify(content)));
  }

  #put(mediaType: string, bytes: Buffer): Descriptor {
    const hash = sha256(bytes);
    writeFileSync(join(this.#folder, 'blobs', 'sha256', hash), bytes);
    return { mediaType, digest: `sha256:${hash}`, size: bytes.length };
  }
}
