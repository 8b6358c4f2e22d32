// A real browser for tests of pages: Debian's Chromium, driven by playwright-core, which brings none of its own.
import { chromium, type Browser } from 'playwright-core'
import { findProgram, installPackages, type Package } from '../cluster/packages.ts'
import { toStderr } from '../cluster/report.ts'

const chromiumPackage: Package = { name: 'chromium', provides: ['chromium'] }

/** Starts Chromium without a window. @throws Error naming the package when it is missing and may not be installed */
export async function openBrowser(): Promise<Browser> {
  await installPackages([chromiumPackage], toStderr)
  return chromium.launch({
    executablePath: findProgram('chromium') ?? 'chromium',
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}
