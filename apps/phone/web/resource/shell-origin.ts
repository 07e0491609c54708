/** Origin of the shell, as our server put it into this page. */
export function shellOrigin(): string {
  return document.querySelector<HTMLMetaElement>('meta[name=sallyport-shell]')?.content ?? '';
}
