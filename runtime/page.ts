/**
 * The files of the page at /ui, as they are in the folder `ui` beside this program.
 */
import { readFileSync } from 'node:fs'

export interface PageFile {
  readonly path: string
  readonly type: string
  readonly bytes: Buffer
}

/** Reads them, once. @throws Error when the image lacks them */
export function readPage(): PageFile[] {
  const file = (path: string, name: string, type: string): PageFile => {
    return { path, type: `${type}; charset=utf-8`, bytes: readFileSync(new URL(`./ui/${name}`, import.meta.url)) }
  }
  return [
    file('/ui', 'page.html', 'text/html'),
    file('/ui/page.js', 'page.js', 'text/javascript'),
    file('/ui/page.css', 'page.css', 'text/css'),
  ]
}
