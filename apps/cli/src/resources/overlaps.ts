import { liesUnder } from '@sallyport/channel';
import type { ResourceView } from '@sallyport/security-api';

type Named = Pick<ResourceView, 'name' | 'kind' | 'authority'>;

/** Where a wildcard and another resource are for the same names: whose they are. In words; `of` leaves out what is not about it. */
export function overlapsOf(resources: readonly Named[], of?: string): string[] {
  return resources.flatMap((outer) =>
    resources
      .filter((inner) => inner.kind === outer.kind && liesUnder(outer.authority, inner.authority))
      .filter((inner) => of === undefined || of === inner.name || of === outer.name)
      .map(
        (inner) =>
          `${inner.authority} is for ${inner.name} alone: ${outer.name} (${outer.authority}) does not open it, also to those who may not reach ${inner.name}`,
      ),
  );
}
