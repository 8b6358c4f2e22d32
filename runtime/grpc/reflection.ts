/**
 * Server reflection: what grpcurl and its like ask to know our messages without a .proto file.
 * It must answer every question on the stream, in order; one that it cannot answer gets an error of its own.
 */
import { status, type ServerDuplexStream } from '@grpc/grpc-js'
import { reportOf } from '../errors.ts'
import { ServerReflectionRequest, ServerReflectionResponse } from './api/reflection.ts'
import type { Answers } from './answers.ts'
import { fileDescriptor, symbolsOf, type ProtoFile } from './protobuf/descriptor.ts'
import { decode, encode, type PartOf, type ValueOf } from './protobuf/message.ts'

type Question = ValueOf<typeof ServerReflectionRequest>
type Answer = PartOf<typeof ServerReflectionResponse>

export class ReflectionService {
  readonly #answers: Answers
  readonly #services: readonly string[]
  readonly #byPath = new Map<string, Buffer<ArrayBuffer>>()
  readonly #bySymbol = new Map<string, Buffer<ArrayBuffer>>()

  constructor(files: readonly ProtoFile[], answers: Answers) {
    this.#answers = answers
    this.#services = files.flatMap((file) => file.services.map(({ name }) => `${file.package}.${name}`))
    for (const file of files) {
      const descriptor = fileDescriptor(file)
      this.#byPath.set(file.path, descriptor)
      for (const symbol of symbolsOf(file)) this.#bySymbol.set(symbol, descriptor)
    }
  }

  /** Answers one stream of questions. */
  talk(call: ServerDuplexStream<Buffer, Buffer>): void {
    this.#answers.begin(call)
    call.on('data', (bytes: Buffer<ArrayBuffer>) => {
      try {
        const question = decode(ServerReflectionRequest, bytes)
        const answer = { valid_host: question.host, original_request: question, ...this.#answer(question) }
        call.write(encode(ServerReflectionResponse, answer))
      } catch (error) {
        call.emit('error', this.#answers.failure(call, reportOf(error)))
      }
    })
    call.on('end', () => call.end())
  }

  #answer(question: Question): Answer {
    if (question.list_services !== undefined) {
      return { list_services_response: { service: this.#services.map((name) => ({ name })) } }
    }
    if (question.file_by_filename !== undefined) {
      return descriptorAnswer(this.#byPath.get(question.file_by_filename), question.file_by_filename)
    }
    if (question.file_containing_symbol !== undefined) {
      return descriptorAnswer(this.#bySymbol.get(question.file_containing_symbol), question.file_containing_symbol)
    }
    // proto3 messages have no extensions.
    const type = question.all_extension_numbers_of_type
    if (type !== undefined && this.#bySymbol.has(type)) {
      return { all_extension_numbers_response: { base_type_name: type } }
    }
    return notFound(type ?? 'what was asked for')
  }
}

function descriptorAnswer(descriptor: Buffer<ArrayBuffer> | undefined, name: string): Answer {
  if (descriptor === undefined) return notFound(name)
  return { file_descriptor_response: { file_descriptor_proto: [descriptor] } }
}

function notFound(name: string): Answer {
  return { error_response: { error_code: status.NOT_FOUND, error_message: `there is no ${name} here` } }
}
