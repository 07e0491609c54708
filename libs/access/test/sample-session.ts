import type { SessionRow } from '../src/session/rows.ts';

/** A live session of user `u` on installation `i`, in which nothing has happened yet; a test says what is special about its own. */
export function sampleSession(id: string, over: Partial<SessionRow> = {}): SessionRow {
  return {
    id,
    installationId: 'i',
    userId: 'u',
    secret: Uint8Array.of(0, 1, 255),
    app: 'a@1',
    createdAt: 2 ** 41,
    expiresAt: 2 ** 42,
    chanNo: 0,
    chanRequest: null,
    endedAt: null,
    endReason: null,
    directory: '',
    providerSession: null,
    delegated: null,
    generation: 0,
    holders: [],
    endKey: null,
    ...over,
  };
}
