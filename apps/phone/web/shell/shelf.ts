import type { Resource } from '@sallyport/device';

const NAME = 'sallyport.shelf';
const MAX_ICON_CHARACTERS = 24_000;

interface Shelved {
  readonly favourites: readonly string[];
  /** Icons by authority, as data URLs. */
  readonly icons: Readonly<Record<string, string>>;
}

const EMPTY: Shelved = { favourites: [], icons: {} };

/** What the home view remembers in this browser: favourites, and icons that pages have shown. Nothing of it is a secret's. */
export class Shelf {
  #kept: Shelved = readShelf();

  isFavourite(name: string): boolean {
    return this.#kept.favourites.includes(name);
  }

  toggleFavourite(name: string): void {
    const { favourites } = this.#kept;
    const changed = favourites.includes(name) ? favourites.filter((one) => one !== name) : [...favourites, name];
    this.#keep({ ...this.#kept, favourites: changed });
  }

  iconOf(authority: string): string | undefined {
    const { icons } = this.#kept;
    return Object.hasOwn(icons, authority) ? icons[authority] : undefined;
  }

  keepIcon(authority: string, dataUrl: string): void {
    if (dataUrl.length > MAX_ICON_CHARACTERS) return;
    this.#keep({ ...this.#kept, icons: { ...this.#kept.icons, [authority]: dataUrl } });
  }

  forgetIcons(): void {
    this.#keep({ ...this.#kept, icons: {} });
  }

  /** Favourites first, then by what they are called. */
  sorted(resources: readonly Resource[]): readonly Resource[] {
    const rank = ({ name }: Resource): number => (this.isFavourite(name) ? 0 : 1);
    return [...resources].sort((a, b) => rank(a) - rank(b) || titleOf(a).localeCompare(titleOf(b)));
  }

  #keep(kept: Shelved): void {
    this.#kept = kept;
    localStorage.setItem(NAME, JSON.stringify(kept));
  }
}

/** What a resource is called. */
export function titleOf({ title, name }: Resource): string {
  return title ?? name;
}

/** True when a resource fits what was typed. */
export function fitsSearch(resource: Resource, typed: string): boolean {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const text = `${titleOf(resource)} ${resource.name} ${resource.authority}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

function readShelf(): Shelved {
  try {
    return { ...EMPTY, ...JSON.parse(localStorage.getItem(NAME) ?? '{}') };
  } catch {
    return EMPTY;
  }
}
