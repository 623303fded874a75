package dev.pocketfed.client.participation

import dev.pocketfed.client.NoAnswer
import dev.pocketfed.client.PocketFedException
import dev.pocketfed.client.Refused
import dev.pocketfed.client.Stopped
import dev.pocketfed.client.protocol.Attestation
import dev.pocketfed.client.protocol.DeviceClient
import dev.pocketfed.client.protocol.Enrolment
import dev.pocketfed.client.training.StopSignal

private const val PAUSE_SLICE_S = 1.0

/** A [step] failed for good in this session; with a [waitS] the same request is to go out after it. */
internal class StepFailed(
    val step: Step,
    val remedy: Remedy,
    val error: PocketFedException,
    val waitS: Double? = null,
) : Exception(error.message, error)

/** The requests of one session: repeated as the protocol says, under a token that holds. */
internal class Requests(
    private val parts: Parts,
    private val client: DeviceClient,
    private val stop: StopSignal,
) {
    /** What [request] gives, under a token that holds; throws StepFailed when it does not, and Stopped. */
    fun <T> attempt(step: Step, request: (DeviceClient) -> T): T = repeated(step) { asKnown(request) }

    private fun <T> repeated(step: Step, request: () -> T): T {
        var tries = 0
        while (true) {
            try {
                return request()
            } catch (error: Stopped) {
                throw error
            } catch (error: PocketFedException) {
                pauseBefore(step, error, ++tries)
            }
        }
    }

    /** Waits for the next try, or says that there is none. */
    private fun pauseBefore(step: Step, error: PocketFedException, tries: Int) {
        val policy = parts.config.retry
        val remedy = policy.remedy(error, step, tries)
        if (remedy != Remedy.SAME_REQUEST) throw StepFailed(step, remedy, error)
        val waitS = policy.sameRequestWaitS(error, tries)
        if (waitS > policy.longestPauseS) throw StepFailed(step, remedy, error, waitS)
        parts.observe(Event(Mark.RETRYING, error.message.orEmpty()))
        pause(waitS)
    }

    private fun pause(seconds: Double) {
        var left = seconds
        while (left > 0) {
            if (stop.isRaised()) throw Stopped("told to stop while waiting to try again")
            parts.clock.sleep(minOf(left, PAUSE_SLICE_S))
            left -= PAUSE_SLICE_S
        }
    }

    private fun <T> asKnown(request: (DeviceClient) -> T): T = try {
        request(client)
    } catch (error: Refused) {
        if (error.code != "token_expired") throw error
        enrol()
        request(client)
    }

    /** Becomes known, as the device it was where it was one; throws StepFailed. */
    fun enrol() {
        val before = parts.memory.course.enrolling
        try {
            settle(before ?: drawn(Enrolment(parts.config.clientVersion)))
        } catch (failure: StepFailed) {
            if (before == null || failure.error !is Refused || failure.error.isPassing) throw failure
            settle(drawn(Enrolment(parts.config.clientVersion)))
        }
        parts.observe(Event(Mark.ENROLLED, client.device?.deviceId.orEmpty()))
    }

    private fun settle(first: Sent<Enrolment>) {
        try {
            submit(first)
        } catch (failure: StepFailed) {
            val challenge = (failure.error as? Refused)?.challenge
            val attestor = parts.attestor
            if (challenge == null || attestor == null) throw failure
            submit(drawn(first.message.copy(attestation = answered(attestor, challenge))))
        }
    }

    private fun answered(attestor: Attestor, challenge: String): Attestation = try {
        Attestation(attestor.kind, attestor.attest(challenge), challenge)
    } catch (error: PocketFedException) {
        throw StepFailed(Step.CHECK_IN, parts.config.retry.remedy(error, Step.CHECK_IN, parts.config.retry.tries), error)
    }

    private fun submit(sent: Sent<Enrolment>) {
        val memory = parts.memory
        try {
            val device = repeated(Step.CHECK_IN) { client.enrol(sent.message, sent.key) }
            memory.become(device, memory.course.copy(enrolling = null))
        } catch (failure: StepFailed) {
            if (!failure.error.isPassing) memory.keep(memory.course.copy(enrolling = null))
            if (failure.error.code == "unauthenticated") forgetIdentity()
            throw failure
        }
    }

    /** A token that belongs to nobody will never open anything again: the next session enrols without it. */
    fun forgetIdentity() {
        parts.memory.become(null)
        client.device = null
    }

    private fun drawn(message: Enrolment): Sent<Enrolment> {
        val sent = Sent(newKey(), message)
        parts.memory.keep(parts.memory.course.copy(enrolling = sent))
        return sent
    }
}

/** Nobody answered, or said that they cannot now: what was sent may have arrived. */
internal val StepFailed.isOpen: Boolean get() = error is NoAnswer || error.isPassing
