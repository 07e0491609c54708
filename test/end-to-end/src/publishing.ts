import { createHash, randomBytes } from 'node:crypto';
import {
  formatExpires,
  formatUpdate,
  parseHex,
  parseUpdate,
  signUpdate,
  UPDATE_CHUNK_BYTES,
  UPDATE_SPEC,
  updateKeyFrom,
  updateKeyId,
  updateKeyOf,
} from '@sallyport/channel';
import * as api from '@sallyport/security-api/admin';
import { makeZip } from '@sallyport/support';
import type { Operator } from './operator.ts';

/** Who publishes for tests that are about something else: root and targets keys in memory, and a pipeline. */
export class Publishing {
  readonly #operator: Operator;
  readonly #pipeline: Operator;
  readonly #targets: Uint8Array;

  private constructor(operator: Operator, pipeline: Operator, targets: Uint8Array) {
    this.#operator = operator;
    this.#pipeline = pipeline;
    this.#targets = targets;
  }

  /** Puts the first root of a realm. */
  static async begin(operator: Operator): Promise<Publishing> {
    const [rootSecret, targetsSecret] = [randomBytes(32), randomBytes(32)];
    const { onlineKeys } = await operator.call(api.updates.root);
    const online = updateKeyOf(parseHex(onlineKeys[0]!));
    const [root, targets] = [updateKeyFrom(rootSecret), updateKeyFrom(targetsSecret)];
    const role = (id: string) => ({ keyids: [id], threshold: 1 });
    const signed = {
      _type: 'root',
      spec_version: UPDATE_SPEC,
      version: 1,
      expires: formatExpires(Date.now() + 86_400_000),
      consistent_snapshot: true,
      keys: { [root.id]: root.key, [targets.id]: targets.key, [updateKeyId(online)]: online },
      roles: {
        root: role(root.id),
        targets: role(targets.id),
        snapshot: role(updateKeyId(online)),
        timestamp: role(updateKeyId(online)),
      },
    };
    const metadata = Buffer.from(formatUpdate(signUpdate({ signatures: [], signed }, rootSecret))).toString();
    await operator.call(api.updates.put, { body: { metadata } });
    const { token } = await operator.call(api.publishers.issue, { body: { name: 'ci' } });
    return new Publishing(operator, operator.with(token), targetsSecret);
  }

  /** Publishes a package for everybody who may have its app, or who is on a channel of it, and gives its release. */
  async publish(content: Buffer, notes: Readonly<Record<string, string>> = {}, channel = 'stable'): Promise<string> {
    const sha256 = createHash('sha256').update(content).digest('hex');
    for (let at = 0; at < content.length; at += UPDATE_CHUNK_BYTES) {
      const part = content.subarray(at, at + UPDATE_CHUNK_BYTES).toString('base64url');
      const body = { at, bytes: content.length, content: part };
      await this.#pipeline.call(api.releases.upload, { params: { sha256 }, body });
    }
    const { id } = await this.#pipeline.call(api.releases.publish, { body: { sha256, notes, channel } });
    const { metadata } = await this.#operator.call(api.releases.draft, { params: { id } });
    const update = signUpdate(parseUpdate('targets', Buffer.from(metadata)), this.#targets);
    const body = { metadata: Buffer.from(formatUpdate(update)).toString() };
    await this.#operator.call(api.releases.sign, { params: { id }, body });
    return id;
  }

  /** The zip file of a web app. */
  static webApp(id: string, version: string, bytes = 1_000): Buffer {
    return makeZip([
      { name: 'manifest.webmanifest', content: Buffer.from(JSON.stringify({ id, version })) },
      { name: 'film.bin', content: randomBytes(bytes), stored: true },
    ]);
  }
}
