import type { Grant } from '@sallyport/security-api';

/** Resources in a list that has room, however long their names are; and bytes of the longest list that has. */
const FEW_RESOURCES = 48;
const MAX_LIST_BYTES = 48_000;
/** What stands around the texts of a resource in a list, bytes at most. */
const AROUND_BYTES = 48;

/** What a device is told of a resource. */
type ListedResource = Readonly<Record<string, string>> & { readonly name: string };

/**
 * What a device is told of the resources it may reach: the first ones, where all have no room in a WELCOME or a NOTICE. The list is for
 * people, what is not in it is served all the same.
 */
export function resourceList(grant: Pick<Grant, 'resources'>): ListedResource[] {
  const all = grant.resources.map(({ name, kind, authority, title }) => ({
    name,
    kind,
    authority,
    ...(title === undefined ? {} : { title }),
  }));
  if (all.length <= FEW_RESOURCES) return all;
  let room = MAX_LIST_BYTES;
  return all.filter((listed) => {
    room -= AROUND_BYTES + Object.values(listed).reduce((sum, text) => sum + Buffer.byteLength(text), 0);
    return room >= 0;
  });
}
