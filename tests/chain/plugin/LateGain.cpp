// A VST3 for tests: a stereo gain whose output is 300 samples late, and which says so.
// It aborts the process if NaN or infinity reaches it, as plug-ins with tables do.
// With -DKEEPS_ITS_SOUND a reset does not clear it, so that pedalboard loads it anew instead.
#include "DistrhoPlugin.hpp"
#include <cmath>
#include <cstdlib>
#include <cstring>

START_NAMESPACE_DISTRHO

class LateGain : public Plugin {
    static constexpr uint32_t kLate = 300;
    float gain_db = 0.0f;
    float delay[2][kLate] = {};
    uint32_t at = 0;

public:
    LateGain() : Plugin(1, 0, 0) { setLatency(kLate); }

protected:
    const char* getLabel() const override { return "LateGain"; }
    const char* getMaker() const override { return "rtdenoise"; }
    const char* getLicense() const override { return "MIT"; }
    uint32_t getVersion() const override { return d_version(1, 0, 0); }
    int64_t getUniqueId() const override { return d_cconst('L', 't', 'G', 'n'); }

    void initParameter(uint32_t, Parameter& parameter) override {
        parameter.hints = kParameterIsAutomatable;
        parameter.name = "Gain";
        parameter.symbol = "gain";
        parameter.unit = "dB";
        parameter.ranges = ParameterRanges(0.0f, -40.0f, 20.0f);
    }
    float getParameterValue(uint32_t) const override { return gain_db; }
    void setParameterValue(uint32_t, float value) override { gain_db = value; }

#ifndef KEEPS_ITS_SOUND
    void activate() override {
        std::memset(delay, 0, sizeof(delay));
        at = 0;
    }
#endif

    void run(const float** inputs, float** outputs, uint32_t frames) override {
        const float gain = std::pow(10.0f, gain_db / 20.0f);
        for (uint32_t i = 0; i < frames; ++i, at = (at + 1) % kLate)
            for (int c = 0; c < 2; ++c) {
                const float value = inputs[c][i];
                if (!std::isfinite(value))
                    std::abort();
                outputs[c][i] = delay[c][at];
                delay[c][at] = gain * value;
            }
    }
};

Plugin* createPlugin() { return new LateGain(); }

END_NAMESPACE_DISTRHO
