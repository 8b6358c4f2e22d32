// The command line: commands, flags, and what each prints. It ends with an exit code and never ends the process itself.
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { parseDuration } from '../operator/api/duration.ts'
import { namespaces } from '../operator/kube/resources.ts'
import { cluesOf } from './clues.ts'
import {
  connect,
  explained,
  findModelDeployment,
  listModelDeployments,
  workloadsOf,
  type Cluster,
  type ClusterFlags,
} from './cluster.ts'
import { giveCommand, operations, type CommandReport, type Operation } from './command.ts'
import { renderSuggestions, scriptFor, shells, suggest, type Known, type Shell } from './completion.ts'
import { readManifest } from './desired.ts'
import { renderWhy, whyOf } from './diagnosis.ts'
import { CliError, exitCodes, type Ending } from './failure.ts'
import { painter } from './layout.ts'
import { planFor, planOf, type PlanReport } from './plan.ts'
import { renderPlan } from './planview.ts'
import { reportOf } from './report.ts'
import { renderHistory, renderList, renderStatus } from './status.ts'
import type { Terminal } from './terminal.ts'
import { watchRollout } from './watch.ts'

interface Flags extends ClusterFlags {
  readonly json?: boolean
}

const defaultTimeout = '30s'
/** A person who presses Tab waits no longer than this. */
const completionTimeoutMs = 3000
/** Where nobody looks at a terminal, sentences are wrapped for a page. */
const pageWidth = 120

/**
 * Runs one command line.
 * @param argv what follows the program's name
 * @returns the exit code
 */
export const run = async (argv: readonly string[], terminal: Terminal): Promise<number> => {
  let ending: Ending = 'Done'
  const program = programFor(terminal, (how) => (ending = how))
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return exitCodes[ending]
  } catch (error) {
    // commander has said what is wrong, or has printed the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.Done : exitCodes.Usage
    const failure = explained(error)
    if (failure === undefined) throw error
    tell(failure, argv.includes('--json'), terminal)
    return exitCodes[failure.ending]
  }
}

const tell = ({ ending, message, fix }: CliError, json: boolean, terminal: Terminal): void => {
  if (json) printJson(terminal, { kind: 'Error', ending, message, fix })
  else terminal.note(`error: ${message} ${fix}\n`)
}

const printJson = (terminal: Terminal, value: object): void => terminal.out(`${JSON.stringify(value, null, 2)}\n`)

export const programFor = (terminal: Terminal, end: (how: Ending) => void): Command => {
  const program = new Command('kubectl slipway')
    .description('Looks at rollouts of ModelDeployments, and steers them.')
    .exitOverride()
    .configureOutput({ writeOut: (text) => terminal.out(text), writeErr: (text) => terminal.note(text) })
    .addHelpText('after', exitHelp)
  const width = terminal.columns ?? pageWidth
  const paint = painter(terminal.colours)
  const subcommand = (name: string, description: string): Command =>
    program
      .command(name)
      .description(description)
      .copyInheritedSettings(program)
      .option('-n, --namespace <name>', 'the namespace; the one of the context unless given')
      .option('--context <name>', 'a context of the kubeconfig; the current one unless given')
      .option('--kubeconfig <file>', 'the kubeconfig; KUBECONFIG unless given')
      .option('--json', 'print one JSON object')
  const print = (flags: Flags, value: object, text: () => string): void =>
    flags.json === true ? printJson(terminal, value) : terminal.out(`${text()}\n`)

  subcommand('status', 'show versions, shares, pods, conditions, what it waits for and what to do')
    .argument('[name]', 'the ModelDeployment; without it, all of the namespace')
    .action((name: string | undefined, flags: Flags) =>
      within(flags, terminal, async (cluster) => {
        const found =
          name === undefined ? await listModelDeployments(cluster) : [await findModelDeployment(cluster, name)]
        const reports = await Promise.all(
          found.map(async (object) => reportOf(object, await workloadsOf(cluster, object.metadata.name))),
        )
        const [only] = reports
        if (only !== undefined && reports.length === 1)
          print(flags, only, () => renderStatus(only, terminal.now(), width, paint))
        else
          print(flags, { kind: 'StatusList', items: reports }, () =>
            reports.length === 0 ? `Namespace ${cluster.namespace} has no ModelDeployment.` : renderList(reports),
          )
      }),
    )

  subcommand('watch', 'follow a rollout until it is settled; the exit code says how')
    .argument('[name]', 'the ModelDeployment; may be left out where the namespace has one')
    .option('--forever', 'go on after it is settled')
    .option('--timeout <duration>', 'give up after this time, such as 10m', duration)
    .action((name: string | undefined, flags: Flags & { forever?: boolean; timeout?: number }) =>
      within(flags, terminal, async (cluster) => {
        const object = await findModelDeployment(cluster, name)
        const options = {
          forever: flags.forever === true,
          json: flags.json === true,
          ...(flags.timeout !== undefined && { timeoutMs: flags.timeout }),
        }
        end(await watchRollout(cluster, object, options, terminal))
      }),
    )

  subcommand('history', 'show the transitions that the status keeps')
    .argument('[name]', 'the ModelDeployment; may be left out where the namespace has one')
    .action((name: string | undefined, flags: Flags) =>
      within(flags, terminal, async (cluster) => {
        const object = await findModelDeployment(cluster, name)
        const { metadata, status } = object
        const report = {
          kind: 'History',
          namespace: cluster.namespace,
          name: metadata.name,
          entries: status?.history ?? [],
          rejected: status?.rejected ?? [],
        }
        print(flags, report, () => renderHistory(object, width))
      }),
    )

  subcommand('why', 'say why it is as it is: cause, evidence, fix')
    .argument('[name]', 'the ModelDeployment; may be left out where the namespace has one')
    .action((name: string | undefined, flags: Flags) =>
      within(flags, terminal, async (cluster) => {
        const report = whyOf(await cluesOf(cluster, await findModelDeployment(cluster, name)))
        print(flags, report, () => renderWhy(report, width, paint))
      }),
    )

  subcommand('plan', 'say what applying a manifest would do; it changes nothing')
    .argument('[name]', 'an object that exists: what would happen to it as it is')
    .option('-f, --filename <file>', 'the manifest, or - for stdin')
    .action((name: string | undefined, flags: Flags & { filename?: string }) =>
      within(flags, terminal, async (cluster) => {
        const plans = await plansOf(cluster, name, flags.filename, terminal)
        const [only] = plans
        if (only !== undefined && plans.length === 1) print(flags, only, () => renderPlan(only, width, paint))
        else
          print(flags, { kind: 'PlanList', items: plans }, () =>
            plans.map((p) => renderPlan(p, width, paint)).join('\n\n'),
          )
        if (plans.some((plan) => plan.refusals.length > 0)) end('WouldBeRefused')
      }),
    )

  for (const [op, what] of Object.entries(operations)) {
    subcommand(op, what)
      .argument('[name]', 'the ModelDeployment; may be left out where the namespace has one')
      .option('--reason <text>', 'why, for the history', '')
      .option(
        '--candidate <revision>',
        'the revision that the command is about; the one that the status names unless given',
      )
      .addOption(
        new Option('--timeout <duration>', 'how long to wait for the answer')
          .argParser(duration)
          .default(parseDuration(defaultTimeout), defaultTimeout),
      )
      .action((name: string | undefined, flags: Flags & { reason: string; candidate?: string; timeout: number }) =>
        within(flags, terminal, async (cluster) => {
          const object = await findModelDeployment(cluster, name)
          const order = {
            op: op as Operation,
            reason: flags.reason,
            timeoutMs: flags.timeout,
            ...(flags.candidate !== undefined && { candidate: flags.candidate }),
          }
          const report = await giveCommand(cluster, object, order, terminal.signal)
          print(flags, report, () => answerWords(report))
          if (report.result === 'Refused') end('Refused')
        }),
      )
  }

  program
    .command('completion')
    .description('print the completion script of a shell, or the program that kubectl asks for completions')
    .addArgument(new Argument('<shell>', 'for whom').choices(shells))
    .copyInheritedSettings(program)
    .action((shell: Shell) => terminal.out(scriptFor(shell)))

  program
    .command('__complete', { hidden: true })
    .argument('[words...]')
    .allowUnknownOption()
    .helpOption(false)
    .action(async (words: readonly string[]) =>
      terminal.out(renderSuggestions(await suggest(program, words, knownTo(terminal)))),
    )
  return program
}

const duration = (text: string): number => {
  try {
    return parseDuration(text)
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error))
  }
}

const exitHelp = `
Exit codes: ${Object.entries(exitCodes)
  .map(([name, code]) => `${code} ${name}`)
  .join(', ')}. docs/cli.md says what they mean.`

const within = async (
  flags: ClusterFlags,
  terminal: Terminal,
  work: (cluster: Cluster) => Promise<void>,
  timeoutMs?: number,
): Promise<void> => {
  const cluster = await connect(flags, terminal, timeoutMs)
  try {
    await work(cluster)
  } finally {
    await cluster.close()
  }
}

const answerWords = ({ op, name, result, message }: CommandReport): string => `${op} ${name}: ${result}. ${message}`

const plansOf = async (
  cluster: Cluster,
  name: string | undefined,
  file: string | undefined,
  terminal: Terminal,
): Promise<PlanReport[]> => {
  if (file === undefined) {
    const object = await findModelDeployment(cluster, name)
    return [await planFor(cluster, object, object, terminal.now())]
  }
  const manifest = await readManifest(file, terminal)
  const chosen = name === undefined ? manifest : manifest.filter((o) => o.metadata.name === name)
  if (chosen.length === 0) {
    const names = manifest.map((o) => o.metadata.name).join(', ')
    throw new CliError('Usage', `${file} has no ModelDeployment ${name ?? ''}; it has ${names}.`, 'Name one of them.')
  }
  const plans: PlanReport[] = []
  for (const desired of chosen) plans.push(await planOf(cluster, desired, terminal.now()))
  return plans
}

/** While completing, a cluster that does not answer completes nothing, and says nothing. */
const knownTo = (terminal: Terminal): Known => {
  const ask = async (flags: ClusterFlags, question: (cluster: Cluster) => Promise<readonly string[]>) => {
    let words: readonly string[] = []
    const work = async (cluster: Cluster): Promise<void> => {
      words = await question(cluster)
    }
    await within(flags, terminal, work, completionTimeoutMs).catch(() => {})
    return words
  }
  return {
    modelDeployments: (namespace) =>
      ask(namespace === undefined ? {} : { namespace }, async (cluster) =>
        (await listModelDeployments(cluster)).map((o) => o.metadata.name),
      ),
    namespaces: () => ask({}, async ({ client }) => (await client.list(namespaces)).items.map((o) => o.metadata.name)),
  }
}
