// A window for the plug-in of the tests. In place of a user, it turns the gain to -12 dB.
#include "DistrhoUI.hpp"

START_NAMESPACE_DISTRHO

class Turns : public UI {
    int idles = 0;

public:
    Turns() : UI(200, 100) {}

protected:
    void parameterChanged(uint32_t, float) override {}
    void uiIdle() override {
        if (++idles == 5)
            setParameterValue(0, -12.0f);
    }
};

UI* createUI() { return new Turns(); }

END_NAMESPACE_DISTRHO
