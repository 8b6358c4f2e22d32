// The page at /ui in a real browser: what a person sees who tries a model by hand.
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import type { Browser, Page } from 'playwright-core'
import { identityModel, mlpModel, onnxModel } from '../fixtures/onnx.ts'
import { startServer, type Server } from '../fixtures/runtime.ts'
import { openBrowser } from '../kit/browser.ts'

jest.setTimeout(300_000)

let browser: Browser
let server: Server
let page: Page
/** Whatever the browser complained about: errors of the script, refused loads. */
const complaints: string[] = []

const open = async ({ url }: Server): Promise<Page> => {
  const opened = await browser.newPage({ viewport: { width: 1000, height: 900 } })
  opened.on('pageerror', (error) => complaints.push(error.message))
  opened.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text())
  })
  await opened.goto(`${url}/ui`)
  return opened
}
const textOf = async (id: string, from = page): Promise<string> => (await from.locator(`#${id}`).textContent()) ?? ''

beforeAll(async () => {
  const [opened, started] = await Promise.all([openBrowser(), startServer(mlpModel(), { SLIPWAY_MODEL_VERSION: 'v8' })])
  browser = opened
  server = started
  await server.ready()
  page = await open(server)
})
afterAll(async () => {
  await browser.close()
  await server.stop()
})

describe('the page to try a model', () => {
  test('says which model it is, what it takes and gives, and that it is ready', async () => {
    await page.getByText('ready', { exact: true }).waitFor()
    expect(await textOf('model')).toBe('m')
    expect(await textOf('version')).toBe('v8')
    expect(await page.locator('#signature tr').allInnerTexts()).toEqual([
      'takes\tx\tFP32\t[any, 64]',
      'gives\ty\tFP32\t[any, 10]',
    ])
  })

  test('sends the example as it stands, and shows the highest values with their places', async () => {
    await page.getByRole('button', { name: 'Send' }).click()
    await page.locator('#outcome.good').waitFor()
    expect(await textOf('outcome')).toMatch(/^200 in [\d.]+ ms, answered by m-0123456789$/)
    expect(await page.locator('#outputs h3').textContent()).toBe('y: FP32 [1, 10]')
    expect(await page.locator('#outputs tr').first().innerText()).toBe('[0, 0]\t0')
  })

  test('sends what was changed, and shows what the model says to that', async () => {
    const ones = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 64], data: Array(64).fill(1) }] }
    const direct = await fetch(`${server.url}/v2/models/m/infer`, { method: 'POST', body: JSON.stringify(ones) })
    const { outputs } = (await direct.json()) as { outputs: { data: number[] }[] }
    const values = outputs[0]?.data ?? []
    await page.getByLabel('Request, as JSON').fill(JSON.stringify(ones))
    await page.getByRole('button', { name: 'Send' }).click()
    await page.locator('#outcome.good').waitFor()
    const best = values.indexOf(Math.max(...values))
    expect(await page.locator('#outputs tr').first().innerText()).toBe(`[0, ${best}]\t${values[best]}`)
    expect(await textOf('curl')).toContain(`curl -s '${server.url}/v2/models/m/infer' -d '{"inputs"`)
  })

  test('shows a refusal in the words of the server', async () => {
    await page.getByLabel('Request, as JSON').fill('{"inputs":[]}')
    await page.getByRole('button', { name: 'Send' }).click()
    await page.locator('#outcome.bad').waitFor()
    expect(await textOf('outputs')).toContain('the input "x" is missing')
    await page.getByRole('button', { name: 'Back to the example' }).click()
    expect(await page.getByLabel('Request, as JSON').inputValue()).toContain('"shape":[1,64]')
  })

  test('has a name, a label and a keyboard order for everything, and fits a telephone', async () => {
    await page.getByLabel('Request, as JSON').focus()
    await page.keyboard.press('Tab')
    expect(await page.evaluate('document.activeElement.id')).toBe('send')
    await page.setViewportSize({ width: 360, height: 700 })
    expect(await page.evaluate('document.documentElement.scrollWidth <= window.innerWidth')).toBe(true)
    await page.setViewportSize({ width: 1000, height: 900 })
  })

  test('shows names that look like markup as the text they are', async () => {
    const name = '<img src=x onerror=alert(1)>'
    const hostile = await startServer(
      onnxModel({
        nodes: [{ op: 'Identity', inputs: [name], outputs: ['y'] }],
        inputs: [{ name, type: 'STRING', shape: ['n'] }],
        outputs: [{ name: 'y', type: 'STRING', shape: ['n'] }],
      }),
    )
    try {
      await hostile.ready()
      const opened = await open(hostile)
      await opened.locator('#signature tr').first().waitFor()
      expect(await opened.locator('#signature tr').first().innerText()).toContain(name)
      expect(await opened.locator('img').count()).toBe(0)
      await opened.close()
    } finally {
      await hostile.stop()
    }
  })

  test('shows an answer with NaN whole', async () => {
    const floats = await startServer(identityModel('FLOAT'))
    try {
      await floats.ready()
      const opened = await open(floats)
      await opened.locator('#signature tr').first().waitFor()
      const body = '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[NaN]}]}'
      await opened.getByLabel('Request, as JSON').fill(body)
      await opened.getByRole('button', { name: 'Send' }).click()
      await opened.locator('#outcome.good').waitFor()
      expect(await textOf('raw', opened)).toContain('"data":[NaN]')
      await opened.close()
    } finally {
      await floats.stop()
    }
  })

  test('gave the browser nothing to complain about but the refusal that was asked for', () => {
    expect(complaints.filter((text) => !text.includes('400 (Bad Request)'))).toEqual([])
  })
})
